"""`python -m rbnn_deploy`."""

from rbnn_deploy.cli import main

if __name__ == "__main__":
    main()
