"""Train Llama 3 on a text data set: transformers' Trainer, DeepSpeed ZeRO-3, one process a GPU (torchrun)."""

import argparse
from itertools import chain
from pathlib import Path

import torch
import yaml
from datasets import Dataset, load_dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    default_data_collator,
)


def samples(tokenizer: PreTrainedTokenizerBase, name: str, subset: str, column: str, length: int) -> Dataset:
    """Return the data set as rows of `length` tokens, documents joined by the end-of-text token."""
    texts = load_dataset(name, subset, split="train")

    def cut(rows: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        documents = tokenizer([text for text in rows[column] if text.strip()])["input_ids"]
        tokens = list(chain.from_iterable([*document, tokenizer.eos_token_id] for document in documents))
        blocks = [tokens[start : start + length] for start in range(0, len(tokens) - length + 1, length)]
        return {"input_ids": blocks, "labels": [list(block) for block in blocks]}

    return texts.map(cut, batched=True, batch_size=2000, remove_columns=texts.column_names)


def main() -> None:
    """Read the configuration, train, save."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", type=Path, required=True)
    config = yaml.safe_load(options.parse_args().config.read_text(encoding="utf-8"))

    # Made first: under ZeRO-3 the model below is then created in pieces, one a GPU.
    arguments = TrainingArguments(**config["training"])
    tokenizer = AutoTokenizer.from_pretrained(config["model"])
    model = AutoModelForCausalLM.from_pretrained(
        config["model"], torch_dtype=torch.bfloat16, attn_implementation=config["attention"], use_cache=False
    )
    with arguments.main_process_first(desc="cutting the data set"):
        data = samples(tokenizer, **config["data"])

    trainer = Trainer(model=model, args=arguments, train_dataset=data, data_collator=default_data_collator)
    output = Path(arguments.output_dir)
    trainer.train(resume_from_checkpoint=any(output.glob("checkpoint-*")))
    trainer.save_model()
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(output)


if __name__ == "__main__":
    main()
