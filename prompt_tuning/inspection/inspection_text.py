"""What `ptune inspect` says on the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def row_lines(rows: Sequence[Mapping[str, Any]], show_rows: int | None) -> Iterator[str]:
    """Rows with their neighbours, the first `show_rows` of them (None: all)."""
    shown = rows if show_rows is None else rows[:show_rows]
    yield "row  nearest pieces, by cosine"
    for row in shown:
        texts = [f"{near['piece']} {near['cosine']:.2f}" for near in row["neighbours"]]
        yield f"{row['row']:>3}  {'   '.join(texts)}"
    if len(shown) < len(rows):
        yield f"     {len(rows) - len(shown)} more rows: show_rows=null, or neighbours.json"


def summary_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The statistics, aligned; what is not known is a dash."""
    from pandas import DataFrame  # slow to import, as the next: not for a record that is there

    from prompt_tuning.report.section7 import MEASURES

    titles = {**MEASURES, "top_cosine": "cosine to all of its neighbours"}
    measures = DataFrame({name: each or {} for name, each in result["measures"].items()})
    table = measures.reindex(titles).dropna(how="all").rename(index=titles)
    yield from table.to_string(na_rep="-", float_format="{:.3f}".format).splitlines()
    yield f"pieces that have the stem of another: {result['shared_stems']:.3f}"
    norms, drift, domain = result["norms"], result["drift"], result.get("domain")
    of_rows = {f"norm, {name}": norms[name] for name in ("prompt", "init", "embedding")}
    table = DataFrame({name: each for name, each in of_rows.items() if each}).T
    table = table.rename(columns={"rms": "RMS of a number"}).round(3)
    yield from table.to_string(na_rep="-").splitlines()
    yield f"norm of the prompt's rows, of the embedding's: {norms['ratio']:.2f} times"
    if drift:
        yield (
            f"drift from the init: cosine {drift['mean_cosine']:.3f}, distance "
            f"{drift['mean_distance']:.2f} a row, RMS of a number {drift['rms']:.3f}"
        )
    if domain:
        yield f"pieces of the vocabulary in the task's texts: {domain['vocabulary_share']:.3f}"
        top = [f"{piece['piece']} ({piece['rows']})" for piece in domain["top_pieces"][:10]]
        yield f"most frequent neighbours among them (rows): {', '.join(top) or '-'}"
    for label in result["labels"]:
        yield f"label {label['word']}: {_label_text(label)}"


def _label_text(label: Mapping[str, Any]) -> str:
    if label["rows"] is None:
        return "no piece of its own to look for"
    text = f"{', '.join(label['pieces'])} among the neighbours of {label['rows']} rows"
    text += f", at best number {label['best_rank']}"
    return text + (f"; number {label['own_rank']} in its own row" if label["own_rank"] else "")


def closing_line(result: Mapping[str, Any]) -> str:
    """The prompt in a line."""
    prompt, random = (result["measures"][name] for name in ("prompt", "random"))
    return (
        f"tightness {prompt['tightness']:.3f} (random vectors {random['tightness']:.3f}), "
        f"rows that share a neighbour {100 * prompt['rows_sharing']:.0f} %, norm "
        f"{result['norms']['ratio']:.1f} times the embedding's"
    )
