"""What a person is asked for at a terminal."""

from __future__ import annotations

import sys

import click

password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


def read_password(from_stdin: bool, *, confirm: bool = False) -> str:
    """By a prompt on stderr that shows nothing, or the first line of standard input."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
    return typed
