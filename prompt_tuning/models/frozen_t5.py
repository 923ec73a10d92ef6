"""A T5 v1.1, mT5 or umT5 whose forward pass touches real positions only, frozen or with gradients.

Hugging Face's model is the loader and the oracle: these classes take its weights, fuse them, and
give the same loss, gradients and tokens from packed rows, several prompts to a batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, repeat
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from prompt_tuning.models.fused_weights import (
    DecoderLayer,
    EncoderLayer,
    OnDevice,
    Weights,
    fused_decoder_layer,
    fused_encoder_layer,
)
from prompt_tuning.models.layer_weights import FrozenLayer, SpreadStack, Stack
from prompt_tuning.models.layers import (
    NO_DROPOUT,
    Dropout,
    Packing,
    RelativePositionBias,
    attention_mask,
    gated_gelu,
    packed_self_attention,
    rms_norm,
)
from prompt_tuning.models.products import linear
from prompt_tuning.shapes import Shape

if TYPE_CHECKING:
    import transformers as hf
    from torch.distributed import ProcessGroup

DECODER_START_ID = 0  # T5 starts decoding with the pad token
EOS_ID = 1
ENCODER_DROPOUTS = 4  # of a layer
DECODER_DROPOUTS = 6

FamilyConfig: TypeAlias = "hf.T5Config | hf.MT5Config | hf.UMT5Config"
FamilyModel: TypeAlias = (
    "hf.T5ForConditionalGeneration | hf.MT5ForConditionalGeneration |"
    "hf.UMT5ForConditionalGeneration"
)


@dataclass(frozen=True)
class Rows:
    """The rows of one forward pass: B inputs, each under a prompt of its own choice.

    `prompts` are tensors [P_k, H], `inputs` token ids [T_b] that end in EOS, and `prompt_of_row[b]`
    says which prompt stands in front of row b: one prompt to train it, N prompts under the same
    input to ensemble them, every row its own to mix tasks.
    """

    prompts: Sequence[Tensor]
    inputs: Sequence[Tensor]
    prompt_of_row: Sequence[int]

    @classmethod
    def under(cls, prompt: Tensor, inputs: Sequence[Tensor]) -> Self:
        """All rows under the same prompt."""
        return cls([prompt], inputs, [0] * len(inputs))

    @property
    def lengths(self) -> list[int]:
        """Encoder positions of every row: P + T."""
        pairs = zip(self.prompt_of_row, self.inputs, strict=True)
        return [len(self.prompts[k]) + len(ids) for k, ids in pairs]


@dataclass(frozen=True)
class EncodedRows:
    """What the decoder attends to.

    `states` are the encoder's, padded, [B, L, H], normed but not scaled: the scale lives in the
    decoder's weights. `bias` is 0 at real positions and minus infinity at padding, [B, 1, L].
    """

    states: Tensor
    bias: Tensor


class PackedT5:
    """A T5 on packed rows: encode them, score their targets, step the decoder.

    Gradients reach the prompts of `Rows`, and `weights` where they require one: then make one of
    these for every backward pass, since the fused weights are part of its graph.
    """

    group: "ProcessGroup | None" = None  # whose processes share the weights

    def __init__(
        self, weights: Weights, config: FamilyConfig, stacks: Sequence[Any] | None = None
    ) -> None:
        """Fuses `weights`, named as in a checkpoint; `stacks` are the layers if they are spread."""
        self.shape = Shape.of(config)
        self.hidden_size = config.d_model
        self.num_heads = config.num_heads
        self.vocab_size = config.vocab_size
        self.embedding = weights["shared.weight"]
        self.lm_head = weights["lm_head.weight"]
        self._epsilon = config.layer_norm_epsilon
        self._project, self._expand = _project, _expand
        self._decoder_scale = weights["decoder.final_layer_norm.weight"]
        self.encoder, self.decoder = stacks or tuple(map(Stack, fused_layers(weights, config)))
        self._encoder_biases, self._decoder_biases = (
            _position_biases(weights, stack, number, config.relative_attention_max_distance)
            for stack, number in zip(("encoder", "decoder"), num_layers(config), strict=True)
        )

    def compile(self, mode: str) -> None:
        """Compiles what every layer does to single positions, in a mode of `torch.compile`.

        Attention stays as it is: its shapes follow the rows. Equal on a CPU, unmeasured on a GPU.
        """
        self._project = torch.compile(_project, mode=mode, dynamic=True)
        self._expand = torch.compile(_expand, mode=mode, dynamic=True)

    @property
    def device(self) -> torch.device:
        """Where the weights are, and where token ids have to be."""
        return self.embedding.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights and activations; prompts are cast to it where they meet the input."""
        return self.embedding.dtype

    @property
    def is_spread(self) -> bool:
        """Whether the layers are spread over processes, which have to run each of them together."""
        return bool(self.encoder.is_spread)

    @property
    def num_elsewhere(self) -> int:
        """Weights that only other processes hold."""
        if not self.is_spread:
            return 0
        spread = [*self.encoder.parameters(), *self.decoder.parameters()]
        return sum(weight.numel() - weight.to_local().numel() for weight in spread)

    @property
    def _num_encoder_dropouts(self) -> int:
        """How many masks the encoder drops by: the embedding's, each layer's, the last norm's."""
        return 2 + ENCODER_DROPOUTS * len(self.encoder.layers)

    @property
    def num_position_biases(self) -> int:
        """How many biases the encoder has: one for all layers; umT5 has one a layer."""
        return len(self._encoder_biases)

    def encode(self, rows: Rows, dropout: Dropout = NO_DROPOUT) -> EncodedRows:
        """Runs the encoder over [prompt ; embedded input] of every row."""
        packing = Packing(rows.lengths, self.embedding)
        biases = [bias(packing.longest) for bias in self._encoder_biases]
        masks = cycle([attention_mask(bias, packing) for bias in biases])
        numbers = count(1, ENCODER_DROPOUTS)  # of each layer's first dropout mask
        x = dropout.packed(self._embedded(rows), 0, packing)
        of_layers = zip(masks, repeat(packing), repeat(dropout), numbers)
        x = rms_norm(self.encoder(self._encoder_layer, x, of_layers), self._epsilon)
        x = dropout.packed(x, self._num_encoder_dropouts - 1, packing)
        states = pad_sequence(list(x.split(packing.lengths)), batch_first=True)
        return EncodedRows(states, packing.padding.unsqueeze(1))

    def _embedded(self, rows: Rows) -> Tensor:
        """Prompt and embedded input of row after row, packed: [N, H]."""
        embedded = self.embedding[torch.cat(list(rows.inputs))]
        prompts = [prompt.to(embedded) for prompt in rows.prompts]
        inputs = embedded.split([len(ids) for ids in rows.inputs])
        pairs = zip(rows.prompt_of_row, inputs, strict=True)
        return torch.cat([part for k, text in pairs for part in (prompts[k], text)])

    def _encoder_layer(
        self,
        weights: EncoderLayer,
        x: Tensor,
        mask: Tensor,
        packing: Packing,
        dropout: Dropout,
        number: int,
    ) -> Tensor:
        """Packed [N, H] to the same; `number` is that of the layer's first dropout mask."""
        qkv = self._project(x, weights.qkv, self._epsilon)
        q, k, v = qkv.view(len(x), 3, self.num_heads, -1).unbind(1)
        v = dropout.values(v, number, packing)
        context = packed_self_attention(torch.stack([q, k, v]), packing, mask)
        attended = linear(context, weights.attention_output)
        x = x + dropout.packed(attended, number + 1, packing)
        inner = self._expand(x, weights.gate_and_linear, self._epsilon)
        inner = dropout.packed(inner, number + 2, packing)
        outer = linear(inner, weights.feed_forward_output)
        return x + dropout.packed(outer, number + 3, packing)

    def target_logits(
        self, encoded: EncodedRows, targets: Sequence[Tensor], dropout: Dropout = NO_DROPOUT
    ) -> Tensor:
        """Logits of all target positions under teacher forcing.

        Args:
            encoded: B rows.
            targets: B tensors [U_b] of token ids that end in EOS; or B * K of them, K to a row,
                those of a row side by side.
            dropout: the encoder's.

        Returns:
            [sum of U_b, V], target after target, in float32 or wider.
        """
        padded = pad_sequence(list(targets), batch_first=True)
        start = padded.new_full((len(padded), 1), DECODER_START_ID)
        decoder_ids = torch.cat([start, padded[:, :-1]], dim=1)
        x, _ = self._decode(decoder_ids, encoded, None, dropout)
        return self._logits(Packing([len(ids) for ids in targets], x).pack(x))

    def step(
        self, ids: Tensor, encoded: EncodedRows, cache: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """One step of decoding.

        Args:
            ids: [B], the token that each row said last (`DECODER_START_ID` at first).
            encoded: B rows.
            cache: what the last step returned; None at first.

        Returns:
            Logits of the next token [B, V], and the cache for the next step.
        """
        x, cache = self._decode(ids.unsqueeze(1), encoded, cache, NO_DROPOUT)
        return self._logits(x[:, 0]), cache

    def _decode(
        self, ids: Tensor, encoded: EncodedRows, cache: list[Tensor] | None, dropout: Dropout
    ) -> tuple[Tensor, list[Tensor]]:
        """The decoder stack over `ids` [B, U], which follow the positions in `cache`."""
        past = cache[0].shape[3] if cache else 0
        end = past + ids.shape[1]
        biases = cycle([bias(end)[:, past:end, :end] for bias in self._decoder_biases])
        first = self._num_encoder_dropouts  # the number of the decoder's first dropout mask
        numbers = count(first + 1, DECODER_DROPOUTS)
        keys_and_values: list[Tensor] = []  # of each layer
        x = dropout.padded(self.embedding[ids], first)
        of_layers = zip(
            biases,
            cache or repeat(None),
            repeat(keys_and_values),
            repeat(encoded),
            repeat(dropout),
            numbers,
        )
        x = self.decoder(self._decoder_layer, x, of_layers)
        x = rms_norm(x, self._epsilon) * self._decoder_scale
        last = first + 1 + DECODER_DROPOUTS * len(self.decoder.layers)
        return dropout.padded(x, last), keys_and_values

    def _decoder_layer(
        self,
        weights: DecoderLayer,
        x: Tensor,
        bias: Tensor,
        past: Tensor | None,
        keys_and_values: list[Tensor],
        encoded: EncodedRows,
        dropout: Dropout,
        number: int,
    ) -> Tensor:
        """[B, U, H] to the same; appends its keys and values, those of `past` too."""
        qkv = self._project(x, weights.qkv, self._epsilon)
        q, kv = _heads(qkv, 3, self.num_heads).split([1, 2])  # [., B, heads, U, d_kv]
        if past is not None:
            kv = torch.cat([past, kv], dim=3)
        keys_and_values.append(kv)
        attention = dropout.attention(torch.softmax(q[0] @ kv[0].mT + bias, dim=-1), number)
        context = (attention @ kv[1]).transpose(1, 2).flatten(2)
        x = x + dropout.padded(linear(context, weights.attention_output), number + 1)
        attended = self._cross_attend(x, weights, encoded, dropout, number + 2)
        x = x + dropout.padded(attended, number + 3)
        inner = self._expand(x, weights.gate_and_linear, self._epsilon)
        inner = dropout.padded(inner, number + 4)
        return x + dropout.padded(linear(inner, weights.feed_forward_output), number + 5)

    def _cross_attend(
        self, x: Tensor, layer: DecoderLayer, encoded: EncodedRows, dropout: Dropout, number: int
    ) -> Tensor:
        """Attention of [B * K, U, H] to the states of B rows, key and value matrices absorbed."""
        projected = self._project(x, layer.cross_query, self._epsilon)
        (q,) = _heads(projected, 1, self.num_heads)  # [B * K, heads, U, d_kv]
        absorbed = _product_by_head(q, layer.cross_key)  # [B * K, heads, U, H]
        queries = absorbed.reshape(len(encoded.states), -1, self.hidden_size)
        attention = torch.softmax(queries @ encoded.states.mT + encoded.bias, dim=-1)
        kept = dropout.attention(attention.view(*q.shape[:3], -1), number).view_as(attention)
        mean_states = (kept @ encoded.states).view_as(absorbed)
        context = _product_by_head(mean_states, layer.cross_value).transpose(1, 2).flatten(2)
        return linear(context, layer.cross_output)

    def _logits(self, x: Tensor) -> Tensor:
        """[n, H] to [n, V], in float32 whatever the weights are: rounded logits are often tied.

        Source: google-research/prompt-tuning, whose models' output_logits have dtype float32.
        """
        wide = torch.promote_types(x.dtype, torch.float32)
        return linear(x.to(wide), self.lm_head.to(wide))


class FrozenT5(PackedT5):
    """A T5 without a trainable tensor: nothing here ever requires a gradient.

    Source: Lester et al. (2021), section 2.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: FamilyModel,
        device: torch.device | None = None,
        group: "ProcessGroup | None" = None,
    ) -> None:
        """Takes the weights of `model` (see `loading.py` for what was checked about them).

        Args:
            model: stays where it is.
            device: gets the weights; None: they are where they should be.
            group: its processes share the weights of every layer; the embedding, the head and the
                position biases are whole in each. None: all weights are here.
        """
        weights = {name: weight.detach() for name, weight in model.state_dict().items()}
        device, self.group = device or model.device, group
        placed = OnDevice(weights, device)
        stacks = None
        if group is not None:
            layers_of_stacks = fused_layers(placed, model.config)
            stacks = [SpreadStack(map(FrozenLayer, x), group, device) for x in layers_of_stacks]
        super().__init__(placed, model.config, stacks)
        # Wide for good, or every step of decoding would widen it again.
        self.lm_head = self.lm_head.to(torch.promote_types(self.dtype, torch.float32))


def num_layers(config: FamilyConfig) -> tuple[int, int]:
    """The numbers of layers of encoder and decoder."""
    return config.num_layers, config.num_decoder_layers or config.num_layers


def fused_layers(
    weights: Weights, config: FamilyConfig
) -> tuple[Iterator[EncoderLayer], Iterator[DecoderLayer]]:
    """The layers of encoder and decoder, each fused when it is asked for."""
    of_encoder, of_decoder = num_layers(config)
    return (
        (fused_encoder_layer(weights, block) for block in range(of_encoder)),
        (fused_decoder_layer(weights, block, config.num_heads) for block in range(of_decoder)),
    )


def _position_biases(
    weights: Weights, stack: str, num_layers: int, max_distance: int
) -> list[RelativePositionBias]:
    """A stack's biases: one for all layers, kept in the first (T5, mT5), or one a layer (umT5)."""
    name = "{}.block.{}.layer.0.SelfAttention.relative_attention_bias.weight"
    tables = [weights.get(name.format(stack, block)) for block in range(num_layers)]
    biases = [
        RelativePositionBias(table, max_distance=max_distance, causal=stack == "decoder")
        for table in tables
        if table is not None
    ]
    assert len(biases) in (1, num_layers), (stack, len(biases), num_layers)
    return biases


def _project(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return linear(rms_norm(x, epsilon), weight)


def _expand(x: Tensor, gate_and_linear: Tensor, epsilon: float) -> Tensor:
    return gated_gelu(linear(rms_norm(x, epsilon), gate_and_linear))


def _heads(x: Tensor, parts: int, heads: int) -> Tensor:
    """[B, U, parts * heads * d_kv] to [parts, B, heads, U, d_kv]."""
    return x.unflatten(-1, (parts, heads, -1)).permute(2, 0, 3, 1, 4)


def _product_by_head(x: Tensor, matrices: Tensor) -> Tensor:
    """[B, heads, U, n] times [heads, n, m], which a broadcast product would copy for each row."""
    by_head = x.transpose(0, 1)  # [heads, B, U, n]
    product = torch.bmm(by_head.flatten(1, 2), matrices)
    return product.unflatten(1, by_head.shape[1:3]).transpose(0, 1)
