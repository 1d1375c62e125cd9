"""image-catalog: find any picture on your own disk by what you say.

The scripts beside this package are the program; the modules here do their work.
Importing the package imports none of them, so that a script pays only for what it uses.
"""

__version__ = "0.1.0"
