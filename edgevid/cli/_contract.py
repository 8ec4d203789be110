"""The temporal contract of a model, as a sentence and as a drawing."""

from __future__ import annotations

from edgevid.spec import ClipSpec, InputSpec

_WINDOWS_DRAWN = 3
_GUTTER = len("window 1  ")


def span_s(clip: ClipSpec) -> float | None:
    """Seconds that a live window covers: T samples, one period each; None: not timed."""
    return None if clip.period_s is None else clip.num_frames * clip.period_s


def sentence(clip: ClipSpec) -> str:
    """The contract in words."""
    if clip.sampling == "interval":
        return _interval_sentence(clip)
    if clip.sampling == "uniform":
        frames = f"{count(clip.num_frames, 'frame')} spread evenly over the whole file"
    else:
        frames = f"The centre frames of {count(clip.num_frames, 'equal segment')} of the file"
    return f"{frames}; on a live source over {seconds(span_s(clip))}, {_hop(clip)}."


def _interval_sentence(clip: ClipSpec) -> str:
    step = "" if clip.frame_interval == 1 else f"{ordinal(clip.frame_interval)} "
    if clip.fps is None:
        hop = f", {_hop(clip)}" if clip.hop_s else ""
        return f"One frame at a time: every {step}frame of the source as it comes{hop}."
    video = f"the video at {clip.fps:g} fps"
    if clip.num_frames == 1:
        return f"One frame at a time: every {step}frame of {video}, {_hop(clip)}."
    which = f"every {step}frame" if step else "consecutive frames"
    return (
        f"{clip.num_frames} frames: {which} of {video}, {seconds(clip.period_s)} apart. "
        f"A window spans {seconds(span_s(clip))}, {_hop(clip)}."
    )


def _hop(clip: ClipSpec) -> str:
    if clip.hop_s is not None:
        return f"a new one every {seconds(clip.hop_s)}"
    return f"a new one with every sample ({seconds(clip.period_s)})"


def timeline(clip: ClipSpec, width: int, mark: str = "#", line: str = "-") -> list[str]:
    """Draw which frames feed which window, in lines of at most `width` characters.

    Args:
        clip: The contract.
        width: Columns to draw in, at least 40.
        mark: One character for a sampled frame; samples nearer than a column share one.
        line: One character for the time between.

    Returns:
        For 4 frames a second apart, a window every 2 s, in 46 columns:

            window 1  #----#----#----#
            window 2            #----#----#----#
            window 3                      #----#----#----#
                      0 s                              7 s
    """
    columns = width - _GUTTER
    lines = [] if clip.sampling == "interval" else [_file_line(clip, columns, mark, line)]
    period = clip.period_s
    if period is None:
        return lines
    hop = clip.hop_s or period
    starts = [number * hop for number in range(_WINDOWS_DRAWN)]
    total = starts[-1] + (clip.num_frames - 1) * period
    scale = (columns - 1) / total
    if step := int(scale * period):
        scale = step / period  # whole columns from sample to sample: even spacing
    samples = [round(i * period * scale) for i in range(clip.num_frames)]
    windows = [[round(start * scale) + sample for sample in samples] for start in starts]
    if clip.num_frames == 1:
        lines.append(_row("frames", [at for [at] in windows], mark, line))
    else:
        lines += [_row(f"window {n}", at, mark, line) for n, at in enumerate(windows, 1)]
    end = windows[-1][-1] + 1
    lines.append(" " * _GUTTER + "0 s" + seconds(total).rjust(end - len("0 s")))
    return lines


def _row(name: str, at: list[int], mark: str, line: str) -> str:
    return name.ljust(_GUTTER) + " " * at[0] + _marks(at, mark, line)


def _file_line(clip: ClipSpec, columns: int, mark: str, line: str) -> str:
    inside = columns - len("[]")
    offset = 0.0 if clip.sampling == "uniform" else 0.5
    at = [int((i + offset) / clip.num_frames * inside) for i in range(clip.num_frames)]
    drawn = line * at[0] + _marks(at, mark, line)
    return "file".ljust(_GUTTER) + f"[{drawn.ljust(inside, line)}]"


def _marks(at: list[int], mark: str, line: str) -> str:
    """From the first marked column to the last."""
    marked = set(at)
    return "".join(mark if column in marked else line for column in range(at[0], at[-1] + 1))


def describe_input(spec: InputSpec, num_frames: int) -> str:
    """How one input is made from a frame, one step a line."""
    height, width = spec.size
    size = f"{height} high, {width} wide"
    parts = [f"{_taken(spec, num_frames)}, {size}, layout {spec.layout}"]
    if spec.resize == "stretch":
        parts.append(f"whole frame stretched ({spec.interpolation})")
    elif spec.resize == "none":
        parts.append("the centre of the frame as it comes")
    else:
        parts.append(
            f"shorter side to {spec.short_side} ({spec.interpolation}), then the centre cut out"
        )
    if spec.modality == "flow":
        parts.append(_flow(spec))
        parts.append(f"rightward, then downward, {arithmetic(spec)}")
    else:
        parts.append(f"{spec.color.upper()}, {arithmetic(spec)}")
    return "\n".join(parts)


def _taken(spec: InputSpec, num_frames: int) -> str:
    """How many pictures the model sees, and of which frames."""
    depth = spec.depth(num_frames)
    noun = {"rgb": "frame", "rgb_diff": "difference", "flow": "flow field"}[spec.modality]
    which = {
        "all": "" if spec.every == 1 else f", every {ordinal(spec.every)} of the window",
        "pair": ", of the first and the last of the window",
        "first": ", the first of the window",
        "last": ", the last of the window",
    }[spec.frames]
    return f"{count(depth, noun)}{which}"


def _flow(spec: InputSpec) -> str:
    where = "from each frame of the window to the next"
    if spec.flow_interval is not None:
        where = f"from each frame to the one {count(spec.flow_interval, 'frame')} later"
    return f"optical flow in pixels of that picture ({spec.flow_method}), {where}"


def arithmetic(spec: InputSpec) -> str:
    """What the graph does to a value, without the steps that change nothing."""
    inverse = 1.0 / spec.scale
    x = {"rgb": "pixel", "rgb_diff": "difference", "flow": "flow"}[spec.modality]
    if spec.scale != 1.0 and abs(inverse - round(inverse)) < 1e-6:
        x = f"{x} / {round(inverse)}"
    elif spec.scale != 1.0:
        x = f"{x} * {spec.scale:g}"
    if any(spec.mean):
        x = f"{x} - {_channels(spec.mean)}"
    if any(s != 1.0 for s in spec.std):
        x = f"({x}) / {_channels(spec.std)}" if any(spec.mean) else f"{x} / {_channels(spec.std)}"
    return f"x = {x}"


def _channels(values: tuple[float, ...]) -> str:
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    return f"[{', '.join(f'{value:g}' for value in values)}]"


def seconds(value: float | None) -> str:
    """A duration with three significant digits."""
    return "an unknown time" if value is None else f"{value:.3g} s"


def ordinal(number: int) -> str:
    """The English ordinal in figures: 1st, 2nd, 3rd, 4th, 11th."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    suffixes = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{suffixes.get(number % 10, 'th')}"


def count(number: int, noun: str) -> str:
    """A number and its noun, in the plural where it is not one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
