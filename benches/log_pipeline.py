#!/usr/bin/env python3
"""Measures `mlaction metrics` on 1 GiB of training log with 20 metric definitions.

The log is the same on every machine: progress bars with carriage returns and block characters,
step lines, colour codes, JSON lines, tables, XGBoost's tabs, and text that holds no metric.
Standard library only. Usage: python3 benches/log_pipeline.py PATH/TO/mlaction [--runs 5] [--mib 1024]
"""

import argparse
import os
import random
import statistics
import sys
import tempfile

from measure import Bar, Command, bar_table, say, table

MEMORY = 64

NUMBER = r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|nan|inf)"

DEFINITIONS = {
    "loss": r" - loss: " + NUMBER,
    "accuracy": r" - accuracy: " + NUMBER,
    "val_loss": r"val_loss: " + NUMBER,
    "val_accuracy": r"val_accuracy: " + NUMBER,
    "step_loss": r"(?<!val_)\bloss=" + NUMBER,
    "grad_norm": r"grad_norm=" + NUMBER,
    "lr": r"\blr=" + NUMBER,
    "throughput": r"samples_per_second=" + NUMBER,
    "eval_loss": r"'eval_loss': " + NUMBER,
    "eval_f1": r"'eval_f1': " + NUMBER,
    "train:rmse": r".*\[[0-9]+\].*#011train-rmse:" + NUMBER + ".*",
    "validation:rmse": r".*\[[0-9]+\].*#011validation-rmse:" + NUMBER + ".*",
    "quality": r"#quality_metric: host=\S+, epoch=\d+, batch=\d+ train loss <loss>=(\S+)",
    "json_loss": r'"train_loss": "?' + NUMBER,
    "json_ppl": r'"train_ppl": "?' + NUMBER,
    "test_acc": r"^\s*test_acc\s+" + NUMBER,
    "mAP50": r"^\s*all\s+\d+\s+\d+\s+\S+\s+\S+\s+" + NUMBER,
    "learn": r"learn: " + NUMBER,
    "best": r"bestTest = " + NUMBER,
    "valid_auc": r"valid_1 auc : " + NUMBER,
}


def lines(rng, count):
    """Pieces of log in the proportions of a long training."""
    for step in range(count):
        kind = rng.random()
        loss, share = rng.random() * 3, rng.random()
        if kind < 0.30:
            done = int(share * 20)
            yield (f"\r{int(share * 1875):4d}/1875 [{'=' * done}>{'.' * (20 - done)}] - ETA: {rng.randrange(90)}s "
                   f"- loss: {loss:.4f} - accuracy: {share:.4f}")
        elif kind < 0.45:
            done = int(share * 24)
            yield (f"\rEpoch {step % 90}: {share * 100:3.0f}%|{'█' * done}{' ' * (24 - done)}| "
                   f"{step % 5000}/5000 [00:{step % 60:02d}<01:12, {rng.random() * 30:.2f}it/s, loss={loss:.3f}, v_num=3]")
        elif kind < 0.55:
            yield (f"\n2026-03-01 10:{step % 60:02d}:{step % 59:02d},{step % 1000:03d} INFO trainer step={step} epoch={step % 90} "
                   f"loss={loss:.5f} grad_norm={rng.random() * 9:.4f} lr={share * 1e-3:.3e} samples_per_second={rng.random() * 900:.1f}")
        elif kind < 0.57:
            yield f"\n{{\"epoch\": {step % 90}, \"train_loss\": \"{loss:.3f}\", \"train_ppl\": \"{loss * 9:.2f}\", \"wall\": {step}}}"
        elif kind < 0.575:
            yield f"\n[{step}]#011train-rmse:{loss:.5f}#011validation-rmse:{loss * 1.1:.5f}"
        elif kind < 0.58:
            yield f"\n1875/1875 [====================] - 9s 5ms/step - loss: {loss:.4f} - accuracy: {share:.4f} - val_loss: {loss:.4f} - val_accuracy: {share:.4f}"
        elif kind < 0.583:
            yield f"\n{{'eval_loss': {loss:.6f}, 'eval_f1': {share:.6f}, 'eval_runtime': 2.9, 'epoch': {step % 90}.0}}"
        elif kind < 0.586:
            yield f"\n                   all         32         32      {share:.3f}      0.265      {share:.3f}      0.246"
        elif kind < 0.66:
            yield f"\n\x1b[34m\x1b[1mtrain: \x1b[0mScanning /data/labels/part-{step}.cache... {step} images, 34 backgrounds, 0 corrupt"
        elif kind < 0.85:
            yield (f"\n2026-03-01 10:{step % 60:02d}:{step % 59:02d},{step % 1000:03d} INFO data.loader worker {step % 16} read shard "
                   f"s3://bucket/train/part-{step:05d}.parquet ({rng.randrange(10**8)} bytes, {rng.random() * 9:.3f} s)")
        else:
            yield (f"\n[{step}.{step % 1000:03d}] DEBUG torch.distributed: rank {step % 8} all_reduce bucket {step % 64} "
                   f"size={rng.randrange(10**7)} took {rng.random() * 40:.2f} ms; queue depth {step % 5}")


def command(binary, folder, log, presets=()):
    """`mlaction metrics` with all definitions."""
    arguments = [os.path.abspath(binary), "metrics", "--json"]
    for name, regex in DEFINITIONS.items():
        arguments += ["--definition", f"{name}={regex}"]
    for preset in presets:
        arguments += ["--preset", preset]
    return Command("`mlaction metrics`", [*arguments, "-C", folder, log], folder)


def write_log(log, size):
    """The same block of log until the size is reached."""
    block = "".join(lines(random.Random(1), 40_000)).encode()
    with open(log, "wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: size % len(block)])


def run(binary, runs, mib=1024, presets=()):
    """Measures, prints, and gives the bars."""
    size = mib * 1024 * 1024
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "train.log")
        write_log(log, size)
        ours = command(binary, folder, log, presets)
        say("log pipeline")
        for number in range(runs):
            say(f"  run {number + 1} of {runs}")
            ours.measure(os.path.join(folder, "out.json"))
    rates = [size / seconds / 1e6 for seconds in ours.seconds]
    print("## Log pipeline\n")
    table(
        ("log", "definitions", "runs", "MB/s (median)", "least", "most", "CPU s (median)", "peak memory MiB (most)"),
        [
            (
                f"{mib} MiB",
                len(DEFINITIONS),
                runs,
                f"{statistics.median(rates):.0f}",
                f"{min(rates):.0f}",
                f"{max(rates):.0f}",
                f"{statistics.median(ours.cpu):.2f}",
                f"{ours.peak:.1f}",
            )
        ],
    )
    bars = [Bar(f"peak memory under {MEMORY} MiB", f"{ours.peak:.1f} MiB", ours.peak < MEMORY)]
    bar_table(bars)
    return bars


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--preset", action="append", default=[])
    options = parser.parse_args()
    sys.exit(not all(bar.kept for bar in run(options.binary, options.runs, options.mib, options.preset)))


if __name__ == "__main__":
    main()
