"""The readers of GEM's file formats, one a module; `files.py` has them by format."""
