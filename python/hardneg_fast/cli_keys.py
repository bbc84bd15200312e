"""`hardneg-fast keygen`, `shred` and `reveal`: keys, and what is read back with them."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from . import cli_shared as shared
from .exceptions import FileError, UsageError


def _keygen(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE")
    text = "seal the key under a passphrase: HARDNEG_PASSPHRASE, or what you type"
    command.add_argument("--passphrase", action="store_true", help=text)
    shared.format_option(command)


def run_keygen(args: argparse.Namespace) -> None:
    """Writes a fresh key."""
    from .keys import Key

    key = Key.ephemeral()
    key.save(args.file, shared.passphrase(twice=True) if args.passphrase else None)
    if shared.as_json(args, {"file": args.file, "key_id": key.id, "sealed": args.passphrase}):
        return
    print(f"key {key.id} -> {args.file}{', sealed' if args.passphrase else ''}")
    print("whoever has this file can link pseudonyms to people; whoever loses it can no longer join them")


def _shred(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE")
    shared.format_option(command)


def run_shred(args: argparse.Namespace) -> None:
    """Destroys a key file."""
    from .keys import shred

    name = shred(args.file)
    if shared.as_json(args, {"file": args.file, "key_id": name or None}):
        return
    print(f"key {name + ' ' if name else ''}destroyed: {args.file}")
    print("copies of it (backups, snapshots, blocks that the disk keeps) are not")
    print("pseudonyms under it are no more anonymous than before")


def _reveal(command: argparse.ArgumentParser) -> None:
    text = "tokens; without any, one a line from standard input"
    command.add_argument("tokens", nargs="*", metavar="TOKEN", help=text)
    command.add_argument("--key", metavar="FILE", help="the key file they were made under, or env:NAME")
    command.add_argument("--file", type=Path, metavar="FILE", help="text with a token a line, or Parquet with --column")
    command.add_argument("--column", metavar="NAME", help="column of --file, a Parquet file, that has the tokens")
    command.add_argument("--field", default="user_id", help="identifier they stand for [user_id]")
    command.add_argument("--epoch", default="", help="as anonymize was told")
    command.add_argument("--dataset", default="", help="as anonymize was told")
    shared.format_option(command)


def run_reveal(args: argparse.Namespace) -> None:
    """Prints each token and its id."""
    key = shared.key(args.key)
    if key is None:
        raise UsageError("tokens are read back with the key that made them: --key FILE")
    if args.tokens and args.file:
        raise UsageError("give tokens or --file, not both")
    if args.column and not args.file:
        raise UsageError("--column is one of a Parquet file: --file FILE")
    import pyarrow as pa

    from .reversible import reveal

    tokens = _tokens(args)
    ids = reveal(tokens, key=key, field=args.field, epoch=args.epoch, dataset=args.dataset)
    pairs = [
        {"token": token, "id": found.decode(errors="backslashreplace")}
        for token, found in zip(tokens.cast(pa.string()).to_pylist(), ids.to_pylist(), strict=True)
        if token is not None
    ]
    if not shared.as_json(args, pairs):
        for pair in pairs:
            sys.stdout.write(f"{pair['token']}\t{pair['id']}\n")


def _tokens(args: argparse.Namespace) -> Any:
    """Tokens as an Arrow array: given, of a file, or of standard input."""
    import pyarrow as pa

    from .parquet import ParquetFile
    from .plain import plain_table

    if args.tokens:
        return pa.array(args.tokens, pa.string())
    if not args.column:
        try:
            with args.file.open(encoding="ascii") if args.file else contextlib.nullcontext(sys.stdin) as lines:
                return pa.array([line.strip() for line in lines if line.strip()], pa.string())
        except (OSError, UnicodeDecodeError):
            raise FileError("the tokens cannot be read: text with one a line is expected") from None
    try:
        found = plain_table(ParquetFile(args.file).read([args.column])).columns
    except (OSError, pa.ArrowException, ValueError):
        found = []
    if not found:
        raise FileError(f"{args.file.name!r} cannot be read, or is no Parquet file with a column {args.column!r}")
    return found[0].combine_chunks()


KEYGEN = shared.Command(
    name="keygen",
    about="make a key for pseudonyms, in a file only you can read",
    examples=("hardneg-fast keygen ~/.hardneg.key", "hardneg-fast keygen ~/.hardneg.key --passphrase"),
    options=_keygen,
    run=run_keygen,
)


SHRED = shared.Command(
    name="shred",
    about="destroy a key file, so that pseudonyms under it can be joined with nothing new",
    examples=("hardneg-fast shred ~/.hardneg-2026-11.key",),
    options=_shred,
    run=run_shred,
)


REVEAL = shared.Command(
    name="reveal",
    about="read back the ids behind tokens of anonymize --reversible: raw identifiers of people",
    examples=(
        "hardneg-fast reveal hfr1_… --key ~/.hardneg.key",
        "hardneg-fast reveal --key ~/.hardneg.key < tokens.txt",
        "hardneg-fast reveal --key ~/.hardneg.key --file safe.parquet --column user_id",
    ),
    options=_reveal,
    run=run_reveal,
)
