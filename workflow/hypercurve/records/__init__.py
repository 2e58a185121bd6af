"""What earlier experiments left: recorded curves read from files, records prepared from them, and calibration."""
