"""The version of the program; the CHANGELOG's newest heading says the same."""

VERSION = "0.1.0"
