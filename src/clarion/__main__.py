"""`clarion` and `python -m clarion`."""


def main() -> None:
    """Run the command line."""
    from clarion.cli.main import program

    program()


if __name__ == "__main__":
    main()
