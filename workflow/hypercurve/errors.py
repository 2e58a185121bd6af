"""The one kind of exception whose message is written for the user."""


class UserError(Exception):
    """Something the user can mend: a config, a data file, a journal, a full disk.

    The command line prints the message without a traceback and exits with 2; executors let it end the run, where any other
    exception in a trial only fails that trial.
    """
