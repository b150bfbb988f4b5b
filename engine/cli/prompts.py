"""What a person is asked for at a terminal."""

from __future__ import annotations

import sys

import click

from engine.errors import UsageError

password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


def read_password(from_stdin: bool, *, confirm: bool = False) -> str:
    """By a prompt on stderr that shows nothing, or the first line of standard input. Raises UsageError."""
    if from_stdin:
        try:
            return sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UsageError("the password on standard input is not UTF-8") from error
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
    return typed
