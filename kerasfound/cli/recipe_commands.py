"""`kerasfound run NAME`: a command for each recipe, with a flag for each setting of its Config."""

import functools
import importlib
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import yaml
from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

import kerasfound
from kerasfound.errors import UserError

from . import startup
from .output import show_run

Switch = Parameter(negative="")
CONFIG_HELP = "A YAML file of settings, as --print-config prints them. Flags override it."
PRINT_CONFIG_HELP = "Print the settings in the format of a --config file, and exit."


def recipe_command(name: str) -> App:
    """The command `kerasfound run NAME`. The recipe's Config defines its flags, which override a --config file."""
    recipe = _import_recipe(name)
    preset_help = f"Start from other defaults: {', '.join(recipe.Config.PRESETS)}. --config and flags override it."
    preset_settings = functools.partial(_preset_settings, recipe.Config.PRESETS)
    flags = App(name=name, help=recipe.__doc__, help_format="plaintext", config=[_file_settings, preset_settings])
    settings = Annotated[recipe.Config, Parameter(name="*")]  # type: ignore[name-defined]

    @flags.default
    def train(
        settings: settings = recipe.Config(),  # type: ignore[valid-type]  # noqa: B008
        *,
        preset: Annotated[str | None, Parameter(help=preset_help)] = None,
        config: Annotated[Path | None, Parameter(help=CONFIG_HELP)] = None,
        print_config: Annotated[bool, Switch, Parameter(help=PRINT_CONFIG_HELP)] = False,
    ) -> None:
        if print_config:
            print(settings.to_yaml(), end="")
            return
        startup.start(settings.backend, settings.device)
        show_run(kerasfound.training.execute(recipe, settings))

    return flags


def recipe_summary(name: str) -> str:
    """The first line of the recipe's docstring."""
    return (_import_recipe(name).__doc__ or "").splitlines()[0]


def _import_recipe(name: str) -> ModuleType:
    return importlib.import_module(f"kerasfound.recipes.{name}")


def _flag_values(arguments: ArgumentCollection, flag: str) -> list[str]:
    return [token.value for argument in arguments if argument.name == flag for token in argument.tokens]


def _preset_settings(
    presets: dict[str, dict[str, Any]], flags: App, commands: tuple[str, ...], arguments: ArgumentCollection
) -> None:
    """Pass the settings of --preset to cyclopts. Flags and the --config file override them."""
    for name in _flag_values(arguments, "--preset"):
        if name not in presets:
            raise UserError(f"--preset {name}: no such preset; choose {', '.join(presets)}.")
        Dict(presets[name], source=name, use_commands_as_keys=False)(flags, commands, arguments)


def _file_settings(flags: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Pass the settings of the --config file to cyclopts. Flags override them."""
    for file in _flag_values(arguments, "--config"):
        if not Path(file).is_file():
            raise UserError(f"--config {file}: no such file; --print-config prints an example.")
        try:
            settings = yaml.safe_load(Path(file).read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"--config {file}: cannot be read as YAML ({error}).") from error
        if not isinstance(settings, dict):
            raise UserError(f"--config {file}: expected lines of `name: value`, as --print-config prints them.")
        Dict(settings, source=file, use_commands_as_keys=False)(flags, commands, arguments)
