"""The arithmetic of a T5 v1.1 block: norm, gated GELU, dropout, attention, position bias.

Everything works on *packed* rows: the positions of all rows of a batch, one after the other, in one
[N, H] tensor, beside the list of the rows' lengths. Nothing here holds a weight but the table of
`RelativePositionBias`.
"""

import math
from collections.abc import Sequence
from functools import cached_property
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
    """gelu(a) * b for a fused [a | b]; the backward pass makes the GELU again, [N, d_ff]."""

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
        # The product rule: each half gets the incoming gradient times the other half.
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
        scales, lengths = ctx.saved_tensors  # spread over the positions a second time
        return grad * scales.repeat_interleave(lengths, 0, output_size=len(grad)), None, None


def rms_norm(x: Tensor, epsilon: float) -> Tensor:
    """T5's layer norm without its scale: no mean subtracted, the variance in float32 or wider."""
    return _RMSNorm.apply(x, epsilon)


def gated_gelu(fused: Tensor) -> Tensor:
    """gelu(a) * b of a fused [..., 2F] = [a | b], with T5's tanh approximation: [..., F]."""
    return _GatedGELU.apply(fused)


class Dropout:
    """Dropout as T5X does it: one mask a row, shared by all of its positions.

    Whether a number is dropped is a hash of seed, row, mask and channel, not the next draw of a
    stream: the masks of a row are the same in whatever micro-batch it is, and on every device. Each
    place in the model asks for the mask of its own `number`, so that a layer that is run again for
    its gradient drops the same. A rate of 0 changes nothing.
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
        step = _hashed(torch.tensor(seed % 2**63))
        self._rows = _hashed(step + torch.tensor(rows, dtype=torch.int64) * _STRIDE)

    def of_rows(self, places: Sequence[int]) -> "Dropout":
        """That of a forward pass over some of the rows."""
        return Dropout(self.rate, self._seed, places)

    def packed(self, x: Tensor, number: int, packing: "Packing") -> Tensor:
        """Packed [N, H]: one mask [H] for each row."""
        if not self.rate:
            return x
        return _ScaleRows.apply(x, self.channels(x, number), packing.row_lengths)

    def padded(self, x: Tensor, number: int) -> Tensor:
        """Padded [B, L, H]: one mask [H] for each row."""
        return x * self.channels(x, number).unsqueeze(1) if self.rate else x

    def values(self, v: Tensor, number: int, packing: "Packing") -> Tensor:
        """Packed attention values [N, heads, d_kv]: a key is dropped for all queries of a head."""
        if not self.rate:
            return v
        kept = self.keys(v.shape[1], packing.longest, v, number).transpose(1, 2)  # [B, L, heads]
        return v * packing.pack(kept).unsqueeze(-1)

    def attention(self, weights: Tensor, number: int) -> Tensor:
        """Attention weights [B, heads, queries, keys]: one mask [heads, keys] for each row."""
        if not self.rate:
            return weights
        _, num_heads, _, length = weights.shape
        return weights * self.keys(num_heads, length, weights, number).unsqueeze(2)

    def channels(self, x: Tensor, number: int) -> Tensor:
        """A mask for each row of x [..., H]: [B, H], 0 or 1 / (1 - rate), of the dtype of x."""
        return self._mask(torch.arange(x.shape[-1], device=x.device), x, number)

    def keys(self, num_heads: int, length: int, like: Tensor, number: int) -> Tensor:
        """A mask for each row and head over `length` keys, [B, heads, length]; as `channels`."""
        # Key after key: a longer mask starts like a shorter one.
        places = torch.arange(length * num_heads, device=like.device).view(length, num_heads)
        return self._mask(places.T, like, number)

    def _mask(self, places: Tensor, like: Tensor, number: int) -> Tensor:
        self._rows = _to_device(self._rows, like.device)
        use = _hashed(self._rows + number).view(-1, *[1] * places.ndim)
        uniform = _hashed(use + places * _STRIDE) & 0xFFFFFF  # 24 bits, as a float32 has
        return (uniform >= self.rate * 2**24).to(like) / (1.0 - self.rate)


def _to_device(values: Tensor, device: torch.device) -> Tensor:
    """Numbers of the host on a device; a GPU gets them out of pinned memory, without a wait."""
    if device.type == "cuda" and not values.is_cuda:
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


_STRIDE = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed number


def _hashed(x: Tensor) -> Tensor:
    """A hash of every int64: any two numbers have unlike ones. Products wrap around.

    Source: the finaliser of SplitMix64 (Steele et al., 2014); >> of a signed number needs a mask.
    """
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ ((x >> shift) & (2 ** (64 - shift) - 1))) * factor
    return x ^ ((x >> 31) & (2**33 - 1))


NO_DROPOUT = Dropout(0.0, 0, [])


class Packing:
    """Where the rows of a packed batch lie: made once a forward pass, for all of its layers.

    All of it follows from the lengths, which the host knows: nothing is read back from a device.
    """

    def __init__(self, lengths: Sequence[int], like: Tensor) -> None:
        """Packs B rows, N positions together, the longest of L; `like` has device and dtype."""
        self.lengths, self.longest = [*lengths], max(lengths)
        self.row_lengths = _to_device(torch.tensor(self.lengths), like.device)  # [B]
        self._like = like.new_empty(0)
        # A loop over rows wastes nothing; short rows, and a GPU, want few large products instead.
        self.pads = like.device.type != "cpu" or self.longest <= SHORT_ROW

    @cached_property
    def padding(self) -> Tensor:
        """0 at real positions of padded rows, minus infinity behind them: [B, L]."""
        zeros = self._like.new_zeros(len(self.lengths), self.longest)
        return zeros.masked_fill(~self._is_real, -math.inf)

    def pad(self, x: Tensor, dim: int) -> Tensor:
        """Packed [..., N, ...] to padded [..., B, L, ...]; padding gets the first position."""
        return x.index_select(dim, self._packed_places).unflatten(dim, (-1, self.longest))

    def pack(self, x: Tensor) -> Tensor:
        """Padded [B, L, ...] to packed [N, ...]."""
        return x.flatten(0, 1).index_select(0, self._padded_places)

    @cached_property
    def _is_real(self) -> Tensor:  # [B, L]
        return torch.arange(self.longest, device=self._like.device) < self.row_lengths[:, None]

    @cached_property
    def _packed_places(self) -> Tensor:
        """Where each padded position stands in the packed rows, [B * L]; 0 for padding."""
        starts = self.row_lengths.cumsum(0) - self.row_lengths
        places = starts[:, None] + torch.arange(self.longest, device=starts.device)
        return places.masked_fill(~self._is_real, 0).flatten()

    @cached_property
    def _padded_places(self) -> Tensor:
        """Where each packed position stands in the padded rows, [N]."""
        size, padding = sum(self.lengths), self.longest - self.row_lengths
        before = padding.cumsum(0) - padding  # of padding, in front of each row
        shifts = before.repeat_interleave(self.row_lengths, output_size=size)
        return torch.arange(size, device=shifts.device) + shifts


def attention_mask(bias: Tensor, packing: Packing) -> Tensor:
    """What `packed_self_attention` takes, made once for all layers that share a position bias.

    With the padding in it, [B, heads, L, L], autograd would keep another one for each layer.
    `bias` is [heads, L, L], L at least the longest length.
    """
    if not packing.pads or bias.requires_grad:  # of a sum to which a gradient goes it keeps nothing
        return bias
    length = packing.longest
    # PyTorch's fused attention for GPUs copies a mask, in each layer, whose rows do not start at
    # multiples of 8 numbers. Source: preprocess_mask in aten/src/ATen/native/transformers.
    width = -(-length // 8) * 8
    mask = bias.new_empty(len(packing.lengths), len(bias), length, width)[..., :length]
    return torch.add(bias[:, :length, :length], packing.padding[:, None, None], out=mask)


def packed_self_attention(qkv: Tensor, packing: Packing, mask: Tensor) -> Tensor:
    """Self-attention inside each row of a packed batch, T5's way: unscaled, with a position bias.

    [3, N, heads, d_kv] to [N, heads * d_kv]; `mask` is made by `attention_mask`.
    """
    attend = _attend_padded if packing.pads else _attend_row_by_row
    return attend(qkv, packing, mask).flatten(1)


def _attend_row_by_row(qkv: Tensor, packing: Packing, mask: Tensor) -> Tensor:
    # Each row attends to itself alone and at its own length: no padding, no mask between rows. The
    # bias depends on distances, so that a row of length L takes the upper left [L, L] of it.
    rows = []
    for row in qkv.split(packing.lengths, dim=1):
        q, k, v = row.transpose(1, 2).unsqueeze(1)
        length = q.shape[-2]
        bias = mask[None, :, :length, :length]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        rows.append(out[0].transpose(0, 1))
    return torch.cat(rows)


def _attend_padded(qkv: Tensor, packing: Packing, mask: Tensor) -> Tensor:
    q, k, v = packing.pad(qkv, 1).transpose(2, 3)  # [B, heads, L, d_kv]
    if mask.requires_grad:  # no fused kernel gives the bias a gradient
        length = packing.longest
        mask = mask[:, :length, :length] + packing.padding[:, None, None]
        out = torch.softmax(q @ k.mT + mask, dim=-1) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    return packing.pack(out.transpose(1, 2))


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
