"""image-catalog: find any picture on your own disk by what you say.

The scripts beside this package are the program; the modules here do their work.
Importing the package imports none of them, so that a script pays only for what it uses.
"""

import os

# Nothing leaves the machine. onnxruntime reports to its maker from 1.29 on, and keeps in the user's cache what it could not send
# yet (https://github.com/microsoft/onnxruntime/pull/27379); it looks only once, so this stands before any library is loaded.
os.environ.update(ORT_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")

__version__ = "0.1.0"
