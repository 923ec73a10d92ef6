"""The arithmetic of a frozen T5 v1.1 block: norm, gated GELU, dropout, attention, position bias.

Everything works on *packed* rows: the positions of all rows of a batch, one after the other, in one
[N, H] tensor, beside the list of the rows' lengths. No function here holds a weight.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# An autograd Function states its own backward pass. Those below do so to keep less for it: autograd
# would hold every intermediate result of the forward pass, many [N, H] tensors in each layer.

SHORT_ROW = 64  # positions, on a CPU: up to here one padded product beats a product a row


class _RMSNorm(torch.autograd.Function):
    """x / RMS(x), keeping only the output and one number a row for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, epsilon: float) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        inverse_rms = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
        y = (wide * inverse_rms).to(x.dtype)
        ctx.save_for_backward(y, inverse_rms)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        y, inverse_rms = ctx.saved_tensors
        # y is x made to a length of sqrt(H): what the gradient has along y would change the length
        # alone, which the norm takes away again; the rest is divided by the RMS as x was.
        projection = (grad * y).mean(-1, keepdim=True)
        return ((grad - y * projection) * inverse_rms).to(grad.dtype), None


class _GatedGELU(torch.autograd.Function):
    """gelu(a) * b for a fused [a | b]; the GELU is computed again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, fused: Tensor) -> Tensor:
        ctx.save_for_backward(fused)
        gate, linear = fused.chunk(2, dim=-1)
        return F.gelu(gate, approximate="tanh") * linear

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        (fused,) = ctx.saved_tensors
        gate, linear = fused.chunk(2, dim=-1)
        # The product rule: each half gets the incoming gradient times the other half. The GELU is
        # computed a second time, since keeping it would cost [N, d_ff] a layer.
        grad_gate = torch.ops.aten.gelu_backward(grad * linear, gate, approximate="tanh")
        return torch.cat([grad_gate, grad * F.gelu(gate, approximate="tanh")], dim=-1)


class _ScaleRows(torch.autograd.Function):
    """Multiplies every position of row r with scales[r], keeping [B, H] rather than [N, H]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: Tensor, lengths: Tensor) -> Tensor:
        ctx.save_for_backward(scales, lengths)
        return x * scales.repeat_interleave(lengths, dim=0, output_size=len(x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        # Row r has lengths[r] positions, all with the factor scales[r] on the way forward and back;
        # the factors are spread over the positions twice rather than kept so: [B, H], not [N, H].
        scales, lengths = ctx.saved_tensors
        return grad * scales.repeat_interleave(lengths, 0, output_size=len(grad)), None, None


def rms_norm(x: Tensor, epsilon: float) -> Tensor:
    """T5's layer norm without its scale: no mean subtracted, the variance in float32 or wider."""
    return _RMSNorm.apply(x, epsilon)


def gated_gelu(fused: Tensor) -> Tensor:
    """gelu(a) * b of a fused [..., 2F] = [a | b], with T5's tanh approximation: [..., F]."""
    return _GatedGELU.apply(fused)


class Dropout:
    """Dropout as T5X does it: one mask a row, shared by all of its positions.

    Whether a number is dropped is a hash of seed, row, layer and channel, not the next draw of a
    stream: the masks of a row are the same in whatever micro-batch it is, and on every device.
    On attention weights a mask shared by all queries drops whole keys, which equals scaling the
    rows of V, so the fused attention kernel stays.
    Source: flaxformer's `broadcast_dims=(-2,)`; Hugging Face draws one number an element.
    """

    def __init__(self, rate: float, seed: int, rows: Sequence[int]) -> None:
        """Drops with probability `rate` in one forward pass.

        Args:
            rate: below 1.
            seed: of the step.
            rows: the place of every row in its batch, in the order of the forward pass.
        """
        self.rate = rate
        self._seed = seed
        step = _scrambled(torch.tensor(seed % 2**63))
        self._rows = _scrambled(step + torch.tensor(rows, dtype=torch.int64) * _STRIDE)
        self._num_masks = 0  # so far: every use has masks of its own

    def of_rows(self, places: Sequence[int]) -> "Dropout":
        """That of a forward pass over some of the rows."""
        return Dropout(self.rate, self._seed, places)

    def channels(self, x: Tensor) -> Tensor:
        """A mask for each row of x [..., H]: [B, H], 0 or 1 / (1 - rate), of the dtype of x."""
        return self._mask(torch.arange(x.shape[-1], device=x.device), x)

    def keys(self, num_heads: int, length: int, like: Tensor) -> Tensor:
        """A mask for each row and head over `length` keys, [B, heads, length]; as `channels`."""
        places = torch.arange(length * num_heads, device=like.device)  # key after key: a longer
        return self._mask(places.view(length, num_heads).T, like)  # one starts like a shorter one

    def rows(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Packed [N, H]: one mask [H] for each row."""
        return _ScaleRows.apply(x, self.channels(x), torch.tensor(lengths, device=x.device))

    def values(self, v: Tensor, lengths: Sequence[int]) -> Tensor:
        """Packed attention values [N, heads, d_kv]: a key is dropped for all queries of a head."""
        kept = self.keys(v.shape[1], max(lengths), v).transpose(1, 2)  # [B, L, heads]
        return v * kept[positions_mask(lengths, v.device)].unsqueeze(-1)

    def _mask(self, places: Tensor, like: Tensor) -> Tensor:
        self._rows = self._rows.to(like.device)
        use = _scrambled(self._rows + self._num_masks).view(-1, *[1] * places.ndim)
        self._num_masks += 1
        uniform = _scrambled(use + places * _STRIDE) & 0xFFFFFF  # 24 bits, as a float32 has
        return (uniform >= self.rate * 2**24).to(like) / (1.0 - self.rate)


_STRIDE = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed number


def _scrambled(x: Tensor) -> Tensor:
    """A hash of every int64: any two numbers have unlike ones. Products wrap around.

    Source: the finaliser of SplitMix64 (Steele et al., 2014); >> of a signed number needs a mask.
    """
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ ((x >> shift) & (2 ** (64 - shift) - 1))) * factor
    return x ^ ((x >> 31) & (2**33 - 1))


def packed_self_attention(qkv: Tensor, lengths: Sequence[int], bias: Tensor) -> Tensor:
    """Self-attention inside each row of a packed batch, T5's way: unscaled, with a position bias.

    Args:
        qkv: [3, N, heads, d_kv].
        lengths: B lengths that sum to N.
        bias: [heads, L, L], L at least the longest length.

    Returns:
        [N, heads * d_kv].
    """
    # A loop over rows wastes nothing; short rows, and a GPU, want few large products instead.
    pad = qkv.is_cuda or max(lengths) <= SHORT_ROW
    return (_attend_padded if pad else _attend_row_by_row)(qkv, lengths, bias).flatten(1)


def _attend_row_by_row(qkv: Tensor, lengths: Sequence[int], bias: Tensor) -> Tensor:
    # Each row attends to itself alone and at its own length: no padding, no mask between rows. The
    # bias depends on distances, so that a row of length L takes the upper left [L, L] of it.
    rows = []
    for row in qkv.split(list(lengths), dim=1):
        q, k, v = row.transpose(1, 2).unsqueeze(1)
        length = q.shape[-2]
        mask = bias[None, :, :length, :length]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
        rows.append(out[0].transpose(0, 1))
    return torch.cat(rows)


def _attend_padded(qkv: Tensor, lengths: Sequence[int], bias: Tensor) -> Tensor:
    # Packed to padded and back is two index selections: `positions` says where a packed position
    # stands in the padded batch, `packed` the reverse. Padding reads position 0, and is masked.
    real = positions_mask(lengths, qkv.device)
    batch, longest = real.shape
    positions = real.flatten().nonzero().squeeze(1)  # of the packed rows in the padded ones
    packed = positions.new_zeros(real.numel()).index_copy(
        0, positions, torch.arange(len(positions), device=qkv.device)
    )
    padded = qkv.index_select(1, packed).unflatten(1, (batch, longest))
    q, k, v = padded.transpose(2, 3)  # [B, heads, L, d_kv]
    mask = bias[:, :longest, :longest] + padding_bias(real, bias.dtype)[:, None, None]
    if bias.requires_grad:  # no fused kernel gives the bias a gradient
        out = torch.softmax(q @ k.mT + mask, dim=-1) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    return out.transpose(1, 2).flatten(0, 1).index_select(0, positions)


def positions_mask(lengths: Sequence[int], device: torch.device) -> Tensor:
    """True at the real positions of rows padded to the longest: [B, max(lengths)]."""
    ends = torch.tensor(lengths, device=device)
    return torch.arange(max(lengths), device=device) < ends[:, None]


def padding_bias(real: Tensor, dtype: torch.dtype) -> Tensor:
    """0 at real positions and minus infinity at padding, to be added to attention scores."""
    return torch.zeros(real.shape, dtype=dtype, device=real.device).masked_fill(~real, -math.inf)


class RelativePositionBias:
    """T5's relative position bias, computed once for as many layers of a stack as share it.

    It depends on the distance alone, so that one [heads, L, L] tensor serves every row: a shorter
    row takes its upper left corner.
    """

    def __init__(self, table: Tensor, *, max_distance: int, causal: bool) -> None:
        """`table` is [buckets, heads]; a causal bias hides the positions to the right."""
        self._table = table
        self._max_distance = max_distance
        self._causal = causal
        self._bias = table.new_empty(table.shape[1], 0, 0)

    def __call__(self, length: int) -> Tensor:
        """[heads, L, L] with L >= length: bias of query i and key j at [:, i, j]."""
        if length > self._bias.shape[-1]:
            self._bias = self._compute(length)
        return self._bias

    def _compute(self, length: int) -> Tensor:
        distances = torch.arange(1 - length, length, device=self._table.device)
        # One number for each distance, 1 - L to L - 1. `unfold` lays windows of L of them over each
        # other; in reverse order, window i begins with distance -i: it is row i of the matrix.
        by_distance = self._table[self._bucket(distances)].T  # [heads, 2 L - 1]
        bias = by_distance.unfold(1, length, 1).flip(1).contiguous()
        if self._causal:
            hidden = torch.ones(length, length, dtype=torch.bool, device=bias.device).triu(1)
            bias = bias.masked_fill(hidden, -math.inf)
        return bias

    def _bucket(self, distances: Tensor) -> Tensor:
        """Key position minus query position to a row of the table.

        Half of the buckets are exact, half grow logarithmically up to `max_distance`; a stack that
        sees both sides gives half of all buckets to each.
        Source: T5 (Raffel et al., 2020), section 2.1.
        """
        buckets = self._table.shape[0]
        if self._causal:
            offset, distances = torch.zeros_like(distances), (-distances).clamp(min=0)
        else:
            buckets //= 2
            offset, distances = (distances > 0).long() * buckets, distances.abs()
        exact = buckets // 2
        growth = (buckets - exact) / math.log(self._max_distance / exact)
        far = exact + (torch.log(distances.float().clamp(min=1) / exact) * growth).long()
        return offset + torch.where(distances < exact, distances, far.clamp(max=buckets - 1))
