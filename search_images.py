"""search_images.py: what you say -> the pictures of images.db that show it, best first."""
# PYTHON_ARGCOMPLETE_OK: the shell may ask this script what can stand on its command line

# All is in a module: what a script says itself, Python compiles anew at each start, a tenth of a text search.
import gc

from image_catalog import command_line
from image_catalog.search_command import main

__all__ = ["main"]

if __name__ == "__main__":
    gc.disable()  # looking for garbage would take a twelfth of a text search,
    code = command_line.run_script(main)
    gc.freeze()  # and so would a last look at all that is left
    raise SystemExit(code)
