"""A T5 v1.1, mT5 or umT5 whose forward pass touches real positions only, frozen or with gradients.

Hugging Face's model is the loader and the oracle: these classes take its weights, fuse them, and
give the same loss, gradients and tokens from packed rows, several prompts to a batch.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
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
    def num_position_biases(self) -> int:
        """How many biases the encoder has: one for all layers; umT5 has one a layer."""
        return len(self._encoder_biases)

    def encode(self, rows: Rows, dropout: Dropout | None = None) -> EncodedRows:
        """Runs the encoder over [prompt ; embedded input] of every row."""
        packing = Packing(rows.lengths, self.embedding)
        embedded = self.embedding[torch.cat(list(rows.inputs))]
        prompts = [prompt.to(embedded) for prompt in rows.prompts]
        parts = embedded.split([len(ids) for ids in rows.inputs])
        pairs = zip(rows.prompt_of_row, parts, strict=True)
        x = torch.cat([part for k, text in pairs for part in (prompts[k], text)])

        def drop(x: Tensor) -> Tensor:
            return dropout.rows(x, packing) if dropout else x

        def layer_of(weights: EncoderLayer, x: Tensor, mask: Tensor, first_mask: int) -> Tensor:
            if dropout:  # the layer may be run again in the backward pass
                dropout.num_masks = first_mask
            qkv = self._project(x, weights.qkv, self._epsilon)
            q, k, v = qkv.view(len(x), 3, self.num_heads, -1).unbind(1)
            v = dropout.values(v, packing) if dropout else v
            context = packed_self_attention(torch.stack([q, k, v]), packing, mask)
            x = x + drop(linear(context, weights.attention_output))
            inner = drop(self._expand(x, weights.gate_and_linear, self._epsilon))
            return x + drop(linear(inner, weights.feed_forward_output))

        def through(layers: Iterable[Callable[..., Tensor]], x: Tensor) -> Tensor:
            for layer, mask in zip(layers, cycle(masks), strict=False):
                x = layer(layer_of, x, mask, dropout.num_masks if dropout else 0)
            return x

        biases = [bias(packing.longest) for bias in self._encoder_biases]
        masks = [attention_mask(bias, packing) for bias in biases]
        x = drop(rms_norm(self.encoder(through, drop(x)), self._epsilon))
        states = pad_sequence(list(x.split(packing.lengths)), batch_first=True)
        return EncodedRows(states, packing.padding.unsqueeze(1))

    def target_logits(
        self, encoded: EncodedRows, targets: Sequence[Tensor], dropout: Dropout | None = None
    ) -> Tensor:
        """Logits of all target positions under teacher forcing.

        Args:
            encoded: B rows.
            targets: B tensors [U_b] of token ids that end in EOS; or B * K of them, K to a row,
                those of a row side by side.
            dropout: as in `encode`; None evaluates.

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
        x, cache = self._decode(ids.unsqueeze(1), encoded, cache, None)
        return self._logits(x[:, 0]), cache

    def _decode(
        self,
        ids: Tensor,
        encoded: EncodedRows,
        cache: list[Tensor] | None,
        dropout: Dropout | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """The decoder stack over `ids` [B, U], which follow the positions in `cache`."""
        length = ids.shape[1]
        past = cache[0].shape[3] if cache else 0

        def drop(x: Tensor) -> Tensor:
            return x * dropout.channels(x).unsqueeze(1) if dropout else x

        biases = [
            bias(past + length)[:, past : past + length, : past + length]
            for bias in self._decoder_biases
        ]

        def layer_of(
            weights: DecoderLayer, x: Tensor, bias: Tensor, past: Tensor | None, first_mask: int
        ) -> Tensor:
            if dropout:
                dropout.num_masks = first_mask
            qkv = self._project(x, weights.qkv, self._epsilon)
            q, kv = _heads(qkv, 3, self.num_heads).split([1, 2])  # [., B, heads, U, d_kv]
            if past is not None:
                kv = torch.cat([past, kv], dim=3)
            keys_and_values.append(kv)
            kept = torch.softmax(q[0] @ kv[0].mT + bias, dim=-1)
            if dropout:
                kept = kept * dropout.keys(self.num_heads, kv.shape[3], x).unsqueeze(2)
            context = (kept @ kv[1]).transpose(1, 2).flatten(2)
            x = x + drop(linear(context, weights.attention_output))
            x = x + drop(self._cross_attend(x, weights, encoded, dropout))
            inner = drop(self._expand(x, weights.gate_and_linear, self._epsilon))
            return x + drop(linear(inner, weights.feed_forward_output))

        def through(layers: Iterable[Callable[..., Tensor]], x: Tensor) -> Tensor:
            for number, (layer, bias) in enumerate(zip(layers, cycle(biases), strict=False)):
                first_mask = dropout.num_masks if dropout else 0
                x = layer(layer_of, x, bias, cache and cache[number], first_mask)
            return x

        keys_and_values: list[Tensor] = []  # of each layer
        x = self.decoder(through, drop(self.embedding[ids]))
        return drop(rms_norm(x, self._epsilon) * self._decoder_scale), keys_and_values

    def _cross_attend(
        self, x: Tensor, layer: DecoderLayer, encoded: EncodedRows, dropout: Dropout | None
    ) -> Tensor:
        """Attention of [B * K, U, H] to the states of B rows, key and value matrices absorbed."""
        projected = self._project(x, layer.cross_query, self._epsilon)
        (q,) = _heads(projected, 1, self.num_heads)  # [B * K, heads, U, d_kv]
        absorbed = _product_by_head(q, layer.cross_key)  # [B * K, heads, U, H]
        queries = absorbed.reshape(len(encoded.states), -1, self.hidden_size)
        weights = torch.softmax(queries @ encoded.states.mT + encoded.bias, dim=-1)
        if dropout:
            kept = dropout.keys(self.num_heads, weights.shape[-1], x).unsqueeze(2)
            weights = (weights.view(*q.shape[:3], -1) * kept).view_as(weights)
        mean_states = (weights @ encoded.states).view_as(absorbed)
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
