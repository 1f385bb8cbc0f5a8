"""`tokentail` and `python -m tokentail`: the command line, or one sentence where its library is not installed."""

import sys

try:
    from tokentail.cli import main
except ModuleNotFoundError as error:
    if error.name != "click":
        raise
    sys.stderr.write("tokentail: the command line needs click, which is not installed: pip install 'tokentail[cli]'\n")
    sys.exit(2)

if __name__ == "__main__":
    main()
