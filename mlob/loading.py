"""Recipes as files and SET bring them: loaded, refused with the line that is wrong, changed field by field."""

import dataclasses
import difflib
import json
import pathlib
import re
import reprlib
import runpy
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, get_args, get_type_hints

from mlob import recipes
from mlob.errors import InputError, nearest
from mlob.fields import RESERVED, Recipe, check_name, without_none
from mlob.recipes import Experiment, FeatureSet, Suite, Sum

Kind = TypeVar("Kind", bound=Recipe)
PREFIXES: dict[type[Recipe], str] = {FeatureSet: "features.", Experiment: "", Suite: ""}  # of fields, in SET
OF_ONE = re.compile(r"([\w.]+)\[(\d+)\]\.([\w.]+)")  # a field of one of several recipes
Settings = dict[type[Recipe], list[tuple[str, str]]]  # {class of the recipe: (field, text) pairs}


def load(
    path: pathlib.Path | str,
    known: Iterable[str],
    kinds: tuple[type[Recipe], ...] = (FeatureSet, Experiment, Sum, Suite),
) -> Any:
    """Load the `recipe` of a Python file.

    Args:
        path: of the file.
        known: names that stand beside it, for the message.
        kinds: classes of recipes of which it may be one.

    Raises:
        InputError: no such recipe (with the nearest names), a file that cannot be run or holds a value that its field
            does not admit (with the line), or no `recipe` of these kinds in it.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"There is no {path}{nearest(path.stem, known)}")
    recipe = _run(path).get("recipe")
    if not isinstance(recipe, kinds):
        wanted = " or ".join(f"{kind.__name__}(...)" for kind in kinds)
        found = "nothing of this name" if recipe is None else reprlib.repr(recipe)
        raise InputError(f"{path} defines no recipe: expected `recipe = {wanted}`, found {found}.")
    _refuse_empty(recipe, f"{path}: ")
    return recipe


def load_many(path: pathlib.Path) -> dict[str, Experiment | Sum]:
    """Load the `recipes` of a Python file, several models of a suite: {name: `Experiment` or `Sum`}.

    Raises:
        InputError: as `load`; no `recipes`, or a name in it that no model can have.
    """
    found = _run(path).get("recipes")
    if not isinstance(found, dict) or not all(isinstance(recipe, Experiment | Sum) for recipe in found.values()):
        raise InputError(f"{path} defines no recipes: expected `recipes = {{name: Experiment(...), ...}}`.")
    for name, recipe in found.items():
        check_name(str(name), f"{path}: the model", RESERVED)
        _refuse_empty(recipe, f"{path}: {name}: ")
    return found


def parse(text: str) -> Settings:
    """Split SET="field=value,field=value" by the recipe that each field belongs to.

    Fields of an experiment and of a suite stand as they are (`head.dropout`, `training.epochs`, `ensemble.folds`),
    those of a feature set behind `features.`, those of one of several recipes behind its number from 0
    (`network.phases[0].learning_rate`); commas inside brackets belong to the value.

    Returns:
        {recipe class: [(field, text), ...]}.

    Raises:
        InputError: not field=value, or an unknown field (with the nearest ones).
    """
    known = owners()
    pairs: Settings = {kind: [] for kind in PREFIXES}
    for pair in re.split(r",(?=\s*[A-Za-z_][\w.\[\]]*\s*=)", text or ""):
        field, equals, value = (part.strip() for part in pair.partition("="))
        if not pair.strip():
            continue
        if not (field and equals):
            raise InputError(f"SET: expected field=value, found {reprlib.repr(pair)}.")
        if (plain := re.sub(r"\[\d+\]", "[0]", field)) not in known:
            raise InputError(f"SET: no recipe has a field {reprlib.repr(field)}{nearest(field, _near(field, known))}")
        pairs[known[plain]].append((field.removeprefix("features."), value))
    return pairs


def _near(field, known):
    """List the fields that may have been meant: of the same last name, or alike; else where fields are looked for."""
    alike = [name for name in known if name.split(".")[-1] == field.split(".")[-1]]
    alike = alike or difflib.get_close_matches(field, known)
    return alike or dict.fromkeys(f"{name.split('.')[0]}.…" if "." in name else name for name in known)


def override(recipe: Kind, pairs: list[tuple[str, str]]) -> Kind:
    """Give the recipe with some fields changed, typed by the field; those of a network change networks alone.

    Args:
        recipe: any recipe; it stays as it is.
        pairs: (dotted field, text) pairs of this kind of recipe, from `parse`.

    Raises:
        InputError: a value that the field does not admit, or a number beyond the recipes that there are.
    """
    if getattr(recipe, "network", pairs) is None:
        pairs = [(field, value) for field, value in pairs if not field.startswith("network.")]
    of_one = [(found, value) for field, value in pairs if (found := OF_ONE.fullmatch(field))]
    changed = _merged(recipe, [pair for pair in pairs if not OF_ONE.fullmatch(pair[0])])
    for found, value in of_one:
        several, number, field = found.groups()
        changed = _with_one(changed, several, int(number), [(field, value)])
    return changed


def value_of(recipe: Recipe, field: str) -> Any:
    """Give the value of a field as SET names it."""
    value: Any = recipe
    for part in re.findall(r"\w+", field):
        value = value[int(part)] if part.isdecimal() else getattr(value, part)
    return value


def _with_one(recipe, several, number, pairs):
    """Change one of several recipes that a field holds."""
    each = value_of(recipe, several)
    if number >= len(each):
        raise InputError(f"SET: {several}[{number}]: the recipe has {len(each)}, counted from 0.")
    try:
        one = override(each[number], pairs)
        return _placed(recipe, several.split("."), (*each[:number], one, *each[number + 1 :]))
    except InputError as error:
        raise InputError(f"SET: {several}[{number}]: {str(error).removeprefix('SET: ')}") from error


def _placed(recipe, names, value):
    """Put a value at the end of a path of fields."""
    first, *rest = names
    return dataclasses.replace(recipe, **{first: _placed(getattr(recipe, first), rest, value) if rest else value})


def _merged(recipe: Kind, pairs: list[tuple[str, str]]) -> Kind:
    """Give the recipe with fields changed that are not in one of several recipes."""
    if not pairs:
        return recipe
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    base = OmegaConf.structured(recipe)
    for field, value in pairs:
        try:
            if "${" in value or "???" in value:  # OmegaConf's signs for another field's value, and for none
                raise InputError(f"SET: {field}={reprlib.repr(value)}: expected a plain value.")
            is_text = isinstance(OmegaConf.select(base, field), str) and value[:1] not in ("'", '"', "[", "{")
            is_text &= not (value.isdecimal() and int in get_args(_hint(type(recipe), field)))
            plain = json.dumps(value) if is_text else value  # in YAML a plain | or no is no text
            base = OmegaConf.merge(base, OmegaConf.from_dotlist([f"{field}={plain}"]))
        except (OmegaConfBaseException, YAMLError, TypeError, ValueError, RecursionError) as error:
            raise InputError(f"SET: {field}={reprlib.repr(value)}: {str(error).splitlines()[0][:200]}") from error
    try:
        changed: Any = OmegaConf.to_object(base)
    except (InputError, OmegaConfBaseException) as error:
        raise InputError(f"SET: {str(error).splitlines()[0]}") from error
    _refuse_empty(changed, "SET: ")
    return changed


def _hint(kind, field):
    """Give the type of a field as SET names it."""
    for part in field.split("."):
        kind = get_type_hints(without_none(kind)).get(part)
        if kind is None:
            break
    return kind


def fields(kind: Any, prefix: str = "") -> Iterator[str]:
    """List the dotted names of the fields of a kind of recipe, those of the recipes inside of it included."""
    for name, hint in get_type_hints(kind).items():
        inner = without_none(hint)
        if dataclasses.is_dataclass(inner):
            yield from fields(inner, f"{prefix}{name}.")
            continue
        yield prefix + name
        if dataclasses.is_dataclass(one := next(iter(get_args(inner)), None)):
            yield from fields(one, f"{prefix}{name}[0].")


def owners() -> dict[str, type[Recipe]]:
    """Give every field as SET names it, with the kind of recipe that it belongs to."""
    return {field: kind for kind, prefix in PREFIXES.items() for field in fields(kind, prefix)}


def _run(path):
    """Run a recipe's file: its names; what goes wrong in it is told with the line."""
    try:
        return runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}{_line(error, str(path))}: {_reason(error)}") from error


def _line(error, path):
    """Give the line of a file in which an error arose, as a message names it."""
    lines, trace = [], error.__traceback__
    while trace:
        lines += [trace.tb_lineno] if trace.tb_frame.f_code.co_filename == path else []
        trace = trace.tb_next
    lines += [error.lineno] if isinstance(error, SyntaxError) and error.filename == path and error.lineno else []
    return f", line {lines[-1]}" if lines else ""


def _reason(error):
    """Say what is wrong with a recipe's file; a name that does not exist with the nearest."""
    told = str(error).split("\n")[0]
    if isinstance(error, InputError):
        return told
    if found := re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", told):
        kind, name = getattr(recipes, found[1], None), found[2]
        if dataclasses.is_dataclass(kind):
            return (
                f"{found[1]} has no field {name!r}{nearest(name, [field.name for field in dataclasses.fields(kind)])}"
            )
    if found := re.search(r"(?:name|attribute) '(\w+)'", told):
        close = difflib.get_close_matches(found[1], [name for name in vars(recipes) if name[0].isupper()])
        told += f". Did you mean {' or '.join(close)}?" if close else ""
    return f"{type(error).__name__}: {told}"


def _refuse_empty(recipe, where):
    """Refuse a recipe that names nothing to learn from."""
    for name in ("members", "stores", "parts"):
        if getattr(recipe, name, None) == ():
            raise InputError(f"{where}{name} is empty; expected at least one name.")
