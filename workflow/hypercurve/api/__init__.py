"""From Python: results as frames and figures, tuning a function, replays."""
