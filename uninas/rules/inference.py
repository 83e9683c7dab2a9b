"""Rules of inference: an operation and its inputs' types give the output's, or IllTyped."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from uninas.operation import Op
from uninas.shapes import MOST_CHANNELS, MOST_STRIDE, AttentionMap, FeatureMap, IllTyped, Type


def feature(op: Op, given: Type) -> FeatureMap:
    """Return the input as a feature map, class tokens or not; IllTyped for any other."""
    if type(given) is not FeatureMap:
        raise IllTyped(f"{op.text} expects a feature map, got {given}")
    return given


def grid(op: Op, given: Type) -> FeatureMap:
    """Return the input as a feature map whose pixels have neighbours; IllTyped for any other."""
    found = feature(op, given)
    if found.tokens and not found.pooled:
        raise IllTyped(f"{op.text} expects a map without class tokens, got {given}")
    return found


def full_grid(op: Op, given: Type) -> FeatureMap:
    """Return the input as such a map that is not pooled either."""
    found = grid(op, given)
    if found.pooled:
        raise IllTyped(f"{op.text} expects a full map, got {given}")
    return found


def tensor(op: Op, given: Type) -> Type:
    """Return the input as a tensor (channels, rows, columns): a feature map, or an attention map between all pixels of a map.

    Such a map has a channel for each head. IllTyped for maps in windows, between channels, and of other or shared keys.
    """
    if type(given) is AttentionMap and given[4:] == AttentionMap(1, False)[4:]:
        return given
    return feature(op, given)


def same(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the input's type, whatever it is."""
    return inputs[0]


def same_feature(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the input's type, which is a feature map."""
    return feature(op, inputs[0])


def same_tensor(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the input's type, which is a feature map or a plain attention map."""
    return tensor(op, inputs[0])


def same_map(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the input's type, which is an attention map."""
    if type(inputs[0]) is not AttentionMap:
        raise IllTyped(f"{op.text} expects an attention map, got {inputs[0]}")
    return inputs[0]


def all_equal(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the one type of all inputs."""
    first = inputs[0]
    for other in inputs:
        if other != first or type(other) is not type(first):
            raise IllTyped(f"{op.text} expects inputs of one shape, got {first} and {other}")
    return first


def scaled(op: Op, channels: int, ratio: Fraction) -> int:
    """Return `ratio` times the channels, where that is a whole number."""
    product = channels * ratio.numerator
    if product % ratio.denominator:
        raise IllTyped(f"{op.text} cannot make {ratio} of {channels} channels: not a whole number")
    return bounded(op, product // ratio.denominator)


def bounded(op: Op, channels: int) -> int:
    """Return a number of channels, within what any value may have."""
    if channels > MOST_CHANNELS:
        raise IllTyped(f"{op.text} would make {channels} channels, expected at most {MOST_CHANNELS}")
    return channels


def strided(op: Op, given: FeatureMap) -> int:
    """Infer the stride of what an operation with a `stride` makes of a map."""
    return coarser(op, given, op.values["stride"])


def coarser(op: Op, given: FeatureMap, stride: int) -> int:
    """Infer the stride of a map that is `stride` times coarser than another."""
    if stride == 1:
        return given.stride
    if given.pooled:
        raise IllTyped(f"{op.text} expects a full map to take every {stride}th pixel of, got {given}")
    if given.stride * stride > MOST_STRIDE:
        raise IllTyped(f"{op.text} would make a map of stride {given.stride * stride}, expected at most {MOST_STRIDE}")
    return given.stride * stride


def conv_groups(op: Op, channels: int) -> int:
    """Return the number of groups of a convolution that reads `channels` channels."""
    groups = op.values["groups"]
    return channels if groups == "depthwise" else int(groups)


def kernel_sides(op: Op) -> tuple[int, int]:
    """Return the rows and columns of a convolution's kernel."""
    rows: int = op.values["kernel"]
    return rows, op.values["columns"] or rows


@cache
def check_window(op: Op) -> None:
    """Raise IllTyped for a window that is neither odd, and so padded to keep its centre, nor even and moved by its own size.

    Any other window states how many pixels of padding it begins with; below zero, how many pixels inside of the map.
    """
    kernel, dilation = op.values["kernel"], op.values.get("dilation", 1)
    padding = op.values.get("padding", "same")
    columns = op.values.get("columns", 0)
    if columns:
        if columns == kernel:
            raise IllTyped(f"{op.text} has as many columns as rows: leave them out")
        if kernel % 2 == 0 or columns % 2 == 0 or padding != "same":
            raise IllTyped(f"{op.text} expects odd rows and columns, and no padding of its own: its kernel is not square")
    if padding != "same":
        if padding <= -op.values["stride"]:
            raise IllTyped(
                f"{op.text} expects a first window that begins before its second: at most {op.values['stride'] - 1} inside"
            )
        usual = dilation * (kernel // 2) if kernel % 2 else 0 if kernel == op.values["stride"] and dilation == 1 else None
        if padding > dilation * (kernel - 1):
            raise IllTyped(f"{op.text} expects less padding: its first window would lie outside of the map")
        if padding == usual:
            raise IllTyped(f"{op.text} has the usual padding: leave it out")
    elif kernel % 2 == 0 and (kernel != op.values["stride"] or dilation != 1):
        raise IllTyped(f"{op.text} expects an odd kernel, an even one that is equal to its stride, undilated, or a padding")


def is_filled(op: Op) -> bool:
    """Return whether a convolution's map is padded by itself before, since torch pads both ends alike."""
    return bool(op.values["kernel"] % 2 == 0 or op.values["padding"] != "same")


def infer_conv(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Infer channels (heads of an attention map) from the ratio, sides from the stride."""
    given = tensor(op, inputs[0])
    if type(given) is FeatureMap and given.tokens and not (kernel_sides(op) == (1, 1) and op.values["stride"] == 1):
        grid(op, given)
    check_window(op)
    channels = given[0]
    out = scaled(op, channels, op.values["ratio"])
    groups = conv_groups(op, channels)
    if channels % groups or out % groups:
        raise IllTyped(f"{op.text} cannot split {channels} -> {out} channels into {groups} groups")
    if type(given) is AttentionMap:
        return whole(op, given)._replace(heads=out)
    assert type(given) is FeatureMap
    return FeatureMap(out, given.pooled, strided(op, given), given.tokens)


def whole(op: Op, given: AttentionMap) -> AttentionMap:
    """Return an attention map under a window that keeps its sides; IllTyped for any other window."""
    if op.values["stride"] != 1:
        raise IllTyped(f"{op.text} expects a feature map to stride over, got {given}")
    return given


def same_full(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the input's type, which is a full feature map without class tokens."""
    return full_grid(op, inputs[0])


def same_grid(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the input's type, which is a feature map without class tokens."""
    return grid(op, inputs[0])


def infer_class_token(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Make the map a sequence, with a token in front."""
    return full_grid(op, inputs[0])._replace(tokens=1)


def infer_take_class_token(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Take the first class token of a sequence, as a pooled map."""
    given = feature(op, inputs[0])
    if given.pooled or not given.tokens:
        raise IllTyped(f"{op.text} expects a map with a class token, got {given}")
    return given._replace(pooled=True)


def infer_group_norm(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the input's type, which is a feature map whose channels fall into whole groups."""
    given = feature(op, inputs[0])
    if given.channels % op.values["groups"]:
        raise IllTyped(f"{op.text} cannot split {given.channels} channels into groups")
    return given


def infer_space_to_depth(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Make of each tile of factor x factor pixels one pixel with all their channels."""
    given, factor = full_grid(op, inputs[0]), op.values["factor"]
    return FeatureMap(bounded(op, given.channels * factor * factor), False, coarser(op, given, factor))


def infer_window(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Pool over a window, padded to keep the size (or its ceil(size / stride)); an even window moves by its own size."""
    if type(inputs[0]) is AttentionMap:
        given_map = tensor(op, inputs[0])
        check_window(op)
        assert type(given_map) is AttentionMap
        return whole(op, given_map)
    given = grid(op, inputs[0])
    check_window(op)
    return FeatureMap(given.channels, given.pooled, strided(op, given), given.tokens)


def infer_zero(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Make a map of zeros of any number of channels, stride and kind.

    `tokens` are the class tokens that it has and its input does not. With `map` it is an attention map from each of its pixels to
    each, with as many heads as it has channels. From an attention map it makes another one.
    """
    given = tensor(op, inputs[0])
    if type(given) is AttentionMap:
        if op.values["pooled"] or op.values["stride"] > 1 or op.values["tokens"] or op.values["map"]:
            raise IllTyped(f"{op.text} expects a feature map, got {given}")
        return given._replace(heads=scaled(op, given.heads, op.values["ratio"]))
    assert type(given) is FeatureMap
    stride = given.stride * op.values["stride"]
    if stride > MOST_STRIDE:
        raise IllTyped(f"{op.text} would make a map of stride {stride}, expected at most {MOST_STRIDE}")
    if given.tokens and (op.values["stride"] > 1 or op.values["tokens"]):
        raise IllTyped(f"{op.text} cannot stride over class tokens, nor add more, got {given}")
    pooled = given.pooled or op.values["pooled"]
    made = FeatureMap(scaled(op, given.channels, op.values["ratio"]), pooled, stride, given.tokens + op.values["tokens"])
    return AttentionMap(*made) if op.values["map"] else made


def infer_slice(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Take one of equal pieces of the channels, or of an attention map's heads."""
    given = tensor(op, inputs[0])
    index, count = op.values["index"], op.values["count"]
    if given[0] % count or index >= count:
        raise IllTyped(f"{op.text} cannot take piece {index} of {given[0]} channels in {count}")
    return type(given)(given[0] // count, *given[1:])


def infer_concat(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Join the channels of all inputs, which have one size; the heads of attention maps."""
    if type(inputs[0]) is AttentionMap:
        maps = [given for given in inputs if type(given) is AttentionMap and tensor(op, given)[1:] == inputs[0][1:]]
        if len(maps) < len(inputs):
            raise IllTyped(f"{op.text} expects attention maps of one size, or feature maps, got both or others")
        return inputs[0]._replace(heads=bounded(op, sum(given.heads for given in maps)))
    features = [feature(op, given) for given in inputs]
    first = features[0]
    if any(f.pooled != first.pooled for f in features):
        raise IllTyped(f"{op.text} expects maps of one size, got full and pooled ones")
    if any(f.stride != first.stride for f in features):
        raise IllTyped(f"{op.text} expects maps of one size, got strides {sorted({f.stride for f in features})}")
    if any(f.tokens != first.tokens for f in features):
        raise IllTyped(f"{op.text} expects maps of one size, got some with class tokens")
    return FeatureMap(bounded(op, sum(f.channels for f in features)), first.pooled, first.stride, first.tokens)


def infer_pool(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Keep the channels, on one pixel; an attention map's heads, on one entry."""
    given = tensor(op, inputs[0])
    return type(given)(given[0], True, *given[2:])


def infer_broadcast(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Put a pooled map on all pixels again, or on all entries of an attention map."""
    given = tensor(op, inputs[0])
    if not given.pooled:
        raise IllTyped(f"{op.text} expects a pooled map, got {given}")
    return type(given)(given[0], False, *given[2:])


def infer_matmul_qk(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Make a map of each pixel to each, or of each channel of a head to each, one for each head of the queries.

    Keys may lie at another stride, be pooled, or have fewer heads, each then shared by as many of the queries' heads.
    """
    query, key = feature(op, inputs[0]), feature(op, inputs[1])
    size, window, shift = op.values["head_dim"], op.values["window"], op.values["shift"]
    if query.channels % size or key.channels % size:
        raise IllTyped(f"{op.text} cannot split {query.channels} and {key.channels} channels into heads of {size}")
    heads, key_heads = query.channels // size, key.channels // size
    if heads % key_heads:
        raise IllTyped(f"{op.text} cannot share {key_heads} heads of keys among {heads} heads of queries")
    if shift >= max(window, 1):
        raise IllTyped(f"{op.text} expects a shift below its window")
    if op.values["over"] == "channels":
        if key != query or window:
            raise IllTyped(f"{op.text} expects queries and keys of one shape, without windows, got {query} and {key}")
        return AttentionMap(heads, query.pooled, query.stride, query.tokens, channels=size)
    if window:
        full_grid(op, query)
        if key[1:] != query[1:]:
            raise IllTyped(f"{op.text} expects queries and keys of one size in windows, got {query} and {key}")
    return AttentionMap(
        heads, *query[1:], None if key[1:] == query[1:] else key[1:], 0 if key_heads == heads else key_heads, window, shift
    )


def infer_matmul_av(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Weight the values."""
    attention, value = inputs[0], feature(op, inputs[1])
    if type(attention) is not AttentionMap:
        raise IllTyped(f"{op.text} expects an attention map, got {attention}")
    if attention.channels:
        if value.channels != attention.heads * attention.channels:
            raise IllTyped(f"{op.text} cannot apply an {attention} to {value}")
        return value
    key_heads = attention.key_heads or attention.heads
    if value.channels % key_heads or value[1:] != (attention[1:4] if attention.keys is None else attention.keys):
        raise IllTyped(f"{op.text} cannot apply an {attention} to {value}")
    return FeatureMap(bounded(op, value.channels // key_heads * attention.heads), *attention[1:4])


def infer_table(op: Op, inputs: tuple[Type, ...]) -> Type:
    """Return the input's type, which is an attention map whose rows and columns are pixels of one grid."""
    attention = same_map(op, inputs)
    assert type(attention) is AttentionMap
    if attention.keys is not None or attention.tokens or attention.channels:
        raise IllTyped(f"{op.text} expects a map from each pixel of a grid to each, got {attention}")
    if op.values["shared"] and attention.heads == 1:
        raise IllTyped(f"{op.text} expects several heads: one shares its table with none")
    return attention
