"""What plugin authors import is there, and says what it is."""

import inspect

import polytrade
from polytrade import api, hookspecs


def test_everything_named_is_there_and_documented() -> None:
    for name in api.__all__:
        found = getattr(api, name)
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__doc__, name


def test_module_offers_nothing_else() -> None:
    # `@` begins the names that pytest puts into modules whose assertions it rewrites.
    public = {name for name in vars(api) if not name.startswith(("_", "@"))}
    assert public == set(api.__all__)


def test_number_is_that_which_plugins_state() -> None:
    assert api.API == hookspecs.API == 1
    assert polytrade.__version__


def test_every_hook_says_what_it_makes_and_since_when() -> None:
    hooks = {kind.hook for kind in hookspecs.KINDS.values()}
    declared = {name for name in vars(hookspecs.HookSpecs) if name.startswith("polytrade_")}
    assert hooks == declared
    for name in declared:
        hook = getattr(hookspecs.HookSpecs, name)
        assert "Since API 1." in " ".join((hook.__doc__ or "").split())
        assert list(inspect.signature(hook).parameters) == ["self"]
