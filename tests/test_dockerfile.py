"""What the Dockerfile names is there. It is read, not built: that takes Docker, and a network."""

import fnmatch
import json
import pathlib
import re
import tomllib

from packaging.specifiers import SpecifierSet

from mlob.__main__ import cli

ROOT = pathlib.Path(__file__).parents[1]
LINES = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if line and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def words(instruction):
    """Give the words behind an instruction, line by line."""
    return [line.split()[1:] for line in LINES if line.split()[0] == instruction]


def sent():
    """Give the names at the top level that .dockerignore lets through."""
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    return {rule[1:] for rule in rules if rule[0] == "!"}


def test_what_is_copied_is_there_and_is_sent_to_the_builder():
    copied = {source for line in words("COPY") for source in line[:-1]}
    assert {"mlob", "pyproject.toml", "setup.cfg"} <= copied == sent()
    assert all((ROOT / source).exists() for source in copied)
    assert not any(fnmatch.fnmatch(source, "*runs*") for source in copied)


def test_what_the_project_file_reads_is_copied():
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= sent()


def test_the_extra_is_one_of_ours_and_python_is_one_that_we_take():
    (install,) = (line for line in LINES if "pip install" in line)
    assert re.search(r'"\.\[(\w+)\]"', install)[1] in PROJECT["optional-dependencies"]
    ((image,),) = words("FROM")
    assert SpecifierSet(PROJECT["requires-python"]).contains(re.fullmatch(r"python:(\S+)-slim", image)[1])


def test_it_is_not_root_who_serves_on_the_port_that_is_exposed():
    instructions = [line.split()[0] for line in LINES]
    assert words("USER") == [["mlob"]] and instructions.index("USER") < instructions.index("ENTRYPOINT")
    program, verb, *options = json.loads(LINES[instructions.index("ENTRYPOINT")].partition(" ")[2])
    folder = json.loads(LINES[instructions.index("CMD")].partition(" ")[2])
    assert program in PROJECT["scripts"]
    asked = cli.commands[verb].make_context(verb, [*options, *folder]).params
    assert asked["host"] == "0.0.0.0" and asked["folder"] == "/runs"
    assert words("EXPOSE") == [[str(asked["port"])]]
    (check,) = (line for line in LINES if line.startswith("HEALTHCHECK"))
    assert f"http://127.0.0.1:{asked['port']}/health" in check
