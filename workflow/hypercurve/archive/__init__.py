"""Archives: an experiment's results in one file that anyone can check and run again.

:mod:`.packing` writes and opens the file, :mod:`.contents` says what is in it, :mod:`.checking` holds results to their
journals, :mod:`.crate` describes them as an RO-Crate, :mod:`.making` and :mod:`.verifying` are the two commands.
"""
