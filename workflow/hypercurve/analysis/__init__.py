"""From journals to tables, figures and reports. Reads what runs have written; decides and trains nothing."""
