"""Events and actions of a run, their one encoding, and the journal that holds them."""
