"""Features of bars: expressions in Qlib's syntax, Alpha158 and Alpha360, indicators, IC.

``expression`` parses, ``compute`` evaluates on dense arrays with the compiled ``kernels``,
``ic`` judges. Importing this package itself imports nothing heavy.
"""
