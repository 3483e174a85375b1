"""``python cli.py ...``: the same commands as the installed ``pyro-vrnn``."""

from pyro_vrnn.commands.main import main

if __name__ == "__main__":
    main()
