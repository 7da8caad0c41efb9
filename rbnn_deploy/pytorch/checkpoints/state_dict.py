"""Finds the state dict in what training programs save around it, and says what was unwrapped."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.stored_tensor import AnyTensor, StoredTensor, UnreadTensor
from rbnn_deploy.pytorch.checkpoints.unpickler import StandIn, printable

T = TypeVar("T")
Shapes = Mapping[str, tuple[int, ...]]

# Names that programs save the weights under, those of the reference, Lightning and most tutorials first.
WEIGHTS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "net_state_dict",
    "weights",
    "params",
)
# Names of an exponential moving average of the weights.
AVERAGES = (
    "ema",
    "state_dict_ema",
    "ema_state_dict",
    "model_ema",
    "ema_model",
    "params_ema",
    "model_ema_state_dict",
)
_DEEPEST = 4  # dicts around a state dict
# What wraps a network in a class of its own, by the names that its keys then begin with: nn.DataParallel and
# its like, Lightning's modules, FSDP.
_PREFIXES = ("module.", "model.", "net.", "network.", "_forward_module.", "_fsdp_wrapped_module.")
_COMPILED = "_orig_mod"  # where torch.compile wraps a module, which may be any part of the network
_COUNTS = "num_batches_tracked"  # of a BatchNorm; nothing but training without momentum uses it
_PROFILED = ("total_ops", "total_params")  # which thop adds to every module

_TENSORS = (Tensor, StoredTensor, UnreadTensor)


class MisfitError(UserError):
    """The tensors are not a network's.

    Args:
        message: The sentence.
        problems: How many names and shapes differ; the error with the fewest is the one that is shown.
    """

    def __init__(self, message: str, problems: int) -> None:
        super().__init__(message)
        self.problems = problems


@dataclass(frozen=True)
class State:
    """A state dict.

    Attributes:
        tensors: By their names in the network.
        entries: What was saved around it, by name.
        notes: What was unwrapped, left out or added, a sentence each.
    """

    tensors: Mapping[str, AnyTensor]
    entries: Mapping[Any, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    def shapes(self) -> Shapes:
        """The shape of every tensor."""
        return {key: tuple(value.shape) for key, value in self.tensors.items()}

    def noting(self, tensors: Mapping[str, AnyTensor], note: str) -> "State":
        """Returns it with other tensors, and a sentence about that."""
        return replace(self, tensors=tensors, notes=(*self.notes, note))


def find_state(content: Mapping[Any, Any]) -> State:
    """Finds the weights in a checkpoint's content.

    Args:
        content: What was saved: a state dict, or a dict that has one as an entry, directly or further inside.

    Raises:
        UserError: It has no state dict, or an entry of it is no tensor.
    """
    entries: dict[Any, Any] = {}
    path: list[str] = []
    notes: list[str] = []
    found: Mapping[Any, Any] = content
    while len(path) < _DEEPEST and (key := _next_key(found)) is not None:
        entries |= {name: value for name, value in found.items() if name != key}
        if key in AVERAGES:
            notes.append(f"the weights are the moving average (EMA) that it has as {key!r}")
        elif ignored := [name for name in AVERAGES if isinstance(found.get(name), Mapping)]:
            notes.append(f"the moving average (EMA) of the weights, {ignored[0]!r}, was left out")
        path.append(key)
        found = found[key]
    if not found:
        raise UserError("it has no state dict; save one under the key 'state_dict'")
    found = {key: value for key, value in found.items() if not _is_extra(key, value)}
    for key, value in found.items():
        if isinstance(value, StandIn) and key in (*WEIGHTS, *AVERAGES):
            raise UserError(
                f"its {key!r} is a whole {value.name}, whose code is not run; save its state_dict()"
            )
        if not isinstance(key, str) or not isinstance(value, _TENSORS):
            raise UserError(
                f"entry {printable(key)!r} of its state dict is no tensor; save module.state_dict()"
            )
    if path not in ([], ["state_dict"]):
        notes.insert(0, f"the weights were found as {' / '.join(path)}")
    return _mended(State(dict(found), entries, tuple(notes)))


def _next_key(content: Mapping[Any, Any]) -> str | None:
    """Returns the entry that has the weights; None where the content itself is a state dict, or none is."""
    named = [key for key in (*WEIGHTS, *AVERAGES) if isinstance(content.get(key), Mapping)]
    if named:
        return next((key for key in named if content[key]), named[0])
    if any(isinstance(value, _TENSORS) for value in content.values()):
        return None
    others = [
        key
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Mapping) and _is_state(value)
    ]
    if len(others) > 1:
        names = ", ".join(map(printable, others[:5]))
        raise UserError(f"it has {len(others)} state dicts ({names}); save the network's alone")
    return others[0] if others else None


def _is_extra(key: Any, value: Any) -> bool:
    """Whether an entry is what a module keeps beside tensors (`get_extra_state`)."""
    return isinstance(key, str) and key.endswith("_extra_state") and not isinstance(value, _TENSORS)


def _is_state(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(
        isinstance(key, str) and isinstance(value, _TENSORS) for key, value in content.items()
    )


def _mended(state: State) -> State:
    """Takes out what wrappers and profilers put into the keys, and adds what old versions did not write."""
    compiled = [key for key in state.tensors if _COMPILED in key.split(".")]
    if compiled:
        state = state.noting(
            _without_compiled(state.tensors),
            f"torch.compile's {_COMPILED!r} was taken out of {len(compiled)} names",
        )
    profiled = [key for key in state.tensors if key.rpartition(".")[2] in _PROFILED]
    if profiled:
        kept = {key: value for key, value in state.tensors.items() if key not in set(profiled)}
        state = state.noting(
            kept, f"{len(profiled)} counts of a profiler (total_ops, total_params) were left out"
        )
    stems = [key.removesuffix("running_var") for key in state.tensors if key.endswith("running_var")]
    missing = [stem + _COUNTS for stem in stems if stem + _COUNTS not in state.tensors]
    if missing:
        zero = torch.zeros((), dtype=torch.int64)
        state = state.noting(
            {**state.tensors, **dict.fromkeys(missing, zero)},
            f"{len(missing)} BatchNorms have no {_COUNTS}, as PyTorch below 0.4.1 wrote them; it is not used",
        )
    return state


def fit_state(state: State, fit: Callable[[Shapes], T]) -> tuple[State, T]:
    """Finds the names under which a state dict's tensors are those of a network.

    1. The names as they are.
    2. Else without the prefixes that all of them share and that are known to wrap networks.
    3. Else without the 'module' that nn.DataParallel puts into the names of a part of a network.
    4. Else the tensors under one prefix, where a wrapper keeps others (a loss, an average) beside them.

    Args:
        state: The state dict.
        fit: Returns something where tensors of these names and shapes are a network's.

    Returns:
        The state dict with the network's names, and what `fit` returned.

    Raises:
        UserError: The tensors fit under no prefix; or under several, none of which is an average's. Or `fit`
            raised it.
    """
    errors: list[UserError] = []
    for candidate in _unprefixed(state):
        try:
            return candidate, fit(candidate.shapes)
        except UserError as error:
            errors.insert(0, error)
            state = candidate
    if (whole := _without_parallel_parts(state)) is not None:
        try:
            return whole, fit(whole.shapes)
        except UserError as error:
            errors.append(error)
    fitting = list(_parts_that_fit(state, fit))
    if not fitting:
        raise min(errors, key=lambda error: getattr(error, "problems", 0)) from None
    chosen = [part for part in fitting if "ema" not in part[0].lower()] or fitting
    if len(chosen) > 1:
        names = ", ".join(printable(prefix) for prefix, _, _ in chosen)
        raise UserError(f"its tensors under {names} are a network each; save one of them alone")
    _, part, result = chosen[0]
    return part, result


def _parts_that_fit(state: State, fit: Callable[[Shapes], T]) -> Iterator[tuple[str, State, T]]:
    counts = Counter(key.partition(".")[0] for key in state.tensors if "." in key)
    for first, count in counts.most_common(_DEEPEST):
        prefix = f"{first}."
        tensors = {key.removeprefix(prefix): v for key, v in state.tensors.items() if key.startswith(prefix)}
        others = len(state.tensors) - count
        note = f"the {count} tensors under {printable(prefix)!r} were taken, and {others} others left out"
        whole = state.noting(tensors, note)
        for part in _unprefixed(whole):
            try:
                yield prefix, part, fit(part.shapes)
                break
            except UserError:
                continue


def _unprefixed(state: State) -> Iterator[State]:
    """Yields a state dict as it is, and then with one prefix less each time; a network's own may have one."""
    yield state
    removed = ""
    tensors = state.tensors
    while prefix := next((p for p in _PREFIXES if tensors and all(k.startswith(p) for k in tensors)), None):
        removed += prefix
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
        yield state.noting(tensors, f"the prefix {removed!r} was taken off its names")


def _without_parallel_parts(state: State) -> State | None:
    """Takes out the 'module' of nn.DataParallel inside the names; None where none has it, or two collide."""
    renamed = {".".join(part for part in key.split(".") if part != "module"): key for key in state.tensors}
    changed = sum(name != key for name, key in renamed.items())
    if not changed or len(renamed) != len(state.tensors):
        return None
    tensors = {name: state.tensors[key] for name, key in renamed.items()}
    return state.noting(tensors, f"nn.DataParallel's 'module' was taken out of {changed} names")


def _without_compiled(tensors: Mapping[str, AnyTensor]) -> dict[str, AnyTensor]:
    result = {strip_compiled(key): value for key, value in tensors.items()}
    if len(result) != len(tensors):
        raise UserError("two of its tensors differ by torch.compile's name only; save one network alone")
    return result


def strip_compiled(key: str) -> str:
    """Returns the name that a tensor has without torch.compile."""
    return ".".join(part for part in key.split(".") if part != _COMPILED)


def describe_widened(dtypes: Sequence[torch.dtype]) -> tuple[str, ...]:
    """Says that weights are not in the precision that a network computes in."""
    names = sorted(
        {str(d).removeprefix("torch.") for d in dtypes if d.is_floating_point and d != torch.float32}
    )
    return (f"the weights are {' and '.join(names)}, and are computed in float32",) if names else ()
