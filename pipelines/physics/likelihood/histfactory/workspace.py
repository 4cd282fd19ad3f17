"""A measurement of a workspace as frozen values, checked beyond what the schema can say.

Channels, samples and modifiers are sorted by name, as pyhf sorts them: the order of bins and of
parameters follows from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

PER_BIN = ("shapesys", "staterror")  # modifiers whose data are a list over the bins


class Modifier(NamedTuple):
    """A modifier of a sample; data: as in the document."""

    name: str
    type: str
    data: Any


class Sample(NamedTuple):
    """A sample of a channel; place: where it stands in the document."""

    name: str
    data: Sequence[float]
    modifiers: tuple[Modifier, ...]
    place: str


class Channel(NamedTuple):
    """A channel, and the data observed in its bins."""

    name: str
    samples: tuple[Sample, ...]
    observed: Sequence[float]

    @property
    def bins(self) -> int:
        return len(self.observed)


class Workspace(NamedTuple):
    """Channels, and what the measurement says: parameter of interest, settings of parameters."""

    channels: tuple[Channel, ...]
    poi: str
    settings: Mapping[str, Mapping[str, Any]]

    def located(self) -> Iterator[tuple[Channel, Sample, Modifier]]:
        """Every modifier with its sample and channel."""
        for channel in self.channels:
            for sample in channel.samples:
                for modifier in sample.modifiers:
                    yield channel, sample, modifier


def parse(document: Any, measurement: str | None, source: str) -> Workspace:
    """The workspace of a document with one of its measurements, by default the first.

    source: what messages call the document. Raises RefusedError for what is against the schema,
    does not fit together, or has no likelihood: negative templates and observations.
    """
    from diffpipe.pipelines.physics.likelihood.histfactory import schema  # imports take a while

    schema.validate(document, "workspace", source)
    return checked(document, measurement, source)


def checked(document: Any, measurement: str | None, source: str) -> Workspace:
    """The same of a document that keeps to the schema; raises RefusedError."""
    try:
        config = _measurement(document["measurements"], measurement)["config"]
        return Workspace(_channels(document), config["poi"], _settings(config["parameters"]))
    except RefusedError as error:
        raise RefusedError(f"{source}: {error}", hint=error.hint) from error


def _measurement(measurements: Sequence[Any], name: str | None) -> Any:
    known = {each["name"]: each for each in reversed(measurements)}
    if name is None:
        return measurements[0]
    if name not in known:
        raise RefusedError(f"there is no measurement {name!r}", hint=did_you_mean(name, known))
    return known[name]


def _settings(parameters: Sequence[Any]) -> dict[str, Any]:
    named = {each["name"]: each for each in parameters}
    if len(named) != len(parameters):
        twice = _twice([each["name"] for each in parameters])
        raise RefusedError(f"the measurement configures {twice!r} twice", hint="keep one of them")
    return named


def _channels(document: Any) -> tuple[Channel, ...]:
    observed = {each["name"]: each["data"] for each in document["observations"]}
    names = [each["name"] for each in document["channels"]]
    if len(set(names)) != len(names):
        raise RefusedError(f"two channels are called {_twice(names)!r}", hint="rename one")
    missing = sorted(set(names) - set(observed))
    if missing:
        raise RefusedError(
            f"there are no observations for channel {', '.join(missing)}",
            hint=f"observations are given for {', '.join(sorted(observed))}",
        )
    found = [
        _channel(each, observed[each["name"]], f"channels[{i}]")
        for i, each in enumerate(document["channels"])
    ]
    return tuple(sorted(found))


def _channel(raw: Any, observed: Sequence[float], place: str) -> Channel:
    names = [each["name"] for each in raw["samples"]]
    if len(set(names)) != len(names):
        raise RefusedError(f"{place}: two samples are called {_twice(names)!r}", hint="rename one")
    if min(observed) < 0:
        raise RefusedError(
            f"channel {raw['name']}: {min(observed)} events observed",
            hint="observations are counts, zero or above",
        )
    samples = [_sample(each, f"{place}.samples[{i}]") for i, each in enumerate(raw["samples"])]
    for sample in samples:
        _check_sample(raw["name"], sample, len(observed))
    return Channel(raw["name"], tuple(sorted(samples)), observed)


def _sample(raw: Any, place: str) -> Sample:
    distinct: dict[tuple[str, str], Modifier] = {}
    for each in raw["modifiers"]:
        modifier = Modifier(each["name"], each["type"], each["data"])
        key = modifier.name, modifier.type
        if distinct.setdefault(key, modifier) != modifier:
            raise RefusedError(
                f"{place}: two {modifier.type} modifiers are called {modifier.name!r}, and differ",
                hint="keep one of them",
            )
    modifiers = tuple(distinct[key] for key in sorted(distinct))
    return Sample(raw["name"], raw["data"], modifiers, place)


def _check_sample(channel: str, sample: Sample, bins: int) -> None:
    where = f"{sample.place} (channel {channel}, sample {sample.name})"
    if len(sample.data) != bins:
        raise RefusedError(
            f"{where}: {len(sample.data)} bins in data, {bins} bins in the observations",
            hint="all samples of a channel, and its observations, have the same bins",
        )
    for i, value in enumerate(sample.data):
        if value < 0:
            raise RefusedError(
                f"{where}: data[{i}] is {value}: a template is not negative",
                hint="set the bin to zero, or merge it with its neighbour",
            )
    for modifier in sample.modifiers:
        _check_modifier(f"{where}: {modifier.type} {modifier.name!r}", modifier, bins)


def _check_modifier(where: str, modifier: Modifier, bins: int) -> None:
    for name, values in _binned(modifier).items():
        if len(values) != bins:
            raise RefusedError(
                f"{where}: {len(values)} bins in {name}, {bins} bins in the sample",
                hint="a modifier has the bins of its sample",
            )
    if modifier.type in PER_BIN and min(modifier.data) < 0:
        raise RefusedError(
            f"{where}: an uncertainty is {min(modifier.data)}", hint="zero is the least it can be"
        )
    if modifier.type == "normsys" and min(modifier.data.values()) <= 0:
        raise RefusedError(
            f"{where}: a factor is {min(modifier.data.values())}",
            hint="lo and hi are factors of the yield, above zero",
        )


def _binned(modifier: Modifier) -> Mapping[str, Sequence[float]]:
    """The lists over bins that a modifier has."""
    if modifier.type == "histosys":
        found: Mapping[str, Sequence[float]] = modifier.data
        return found
    return {"data": modifier.data} if modifier.type in PER_BIN else {}


def _twice(names: Sequence[str]) -> str:
    return next(name for i, name in enumerate(names) if name in names[:i])
