"""python -m yololstm"""

from yololstm.cli import app

if __name__ == "__main__":
    app(prog_name="yololstm")
