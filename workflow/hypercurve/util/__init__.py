"""What everything rests on: messages for users, files that appear whole, keyed random numbers, typed settings."""
