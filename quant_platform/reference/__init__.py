"""Reference cases: figures other programs or textbooks published, compared with ours.

A case is one JSON file. ``runner.run_cases`` finds the handler of its ``kind``, which returns
what we compute under the names of ``expect``; the runner compares and reports.
"""
