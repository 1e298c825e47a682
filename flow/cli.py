# SPDX-License-Identifier: Apache-2.0
"""The command `vida`. A user's mistake is one line on stderr and exit status 2, with nothing half-written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flow.options import Libraries, Pdk, PdkOrNot, Preset, Seed, UsageError, Version, one_line, refuse
from hw.config import load_config
from hw.errors import VidaError

app = typer.Typer(name="vida", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
                  help="Generator of accelerators for video diffusion transformers.")


def main() -> None:
    """Entry point of the command."""
    try:
        sys.exit(app(prog_name="vida", standalone_mode=len(sys.argv) == 1))
    except VidaError as error:
        print(f"vida: {' '.join(str(error).split())}", file=sys.stderr)
    except UsageError as error:
        print(one_line(error), file=sys.stderr)
    sys.exit(2)


@app.callback()
def _options(version: Version = False) -> None:
    """Options of the command itself."""


@app.command()
def run(pdk: Pdk = None, jobs: Annotated[int, typer.Option(min=1, max=16, help="steps side by side")] = 2) -> None:
    """The main job: cycles, area, quality, Verilog, and the report in build/report."""
    from flow import job
    job.run(pdk, jobs)


@app.command()
def report() -> None:
    """Write build/report again from the latest results."""
    from flow import report as page
    page.write(Console())


@app.command()
def quality(network: Annotated[list[str] | None, typer.Option("--network", "-n", help="of the repository; may be "
                                                              "repeated; default: small")] = None,
            method: Annotated[list[str] | None, typer.Option(help="all settings of a method; may be repeated")] = None,
            setting: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="settings by name, as 'orbis.*'; "
                                                              "default: one of each method; may be repeated")] = None,
            steps: Annotated[list[int] | None, typer.Option(help="50, 20 or 8; may be repeated; default: all")] = None,
            videos: Annotated[int, typer.Option(min=1, max=1000, help="videos that figures are the mean of; 8 or more "
                                                "also give Frechet distances")] = 2,
            fvd: Annotated[Path | None, typer.Option(metavar="FILE", help="FVD too: I3D as TorchScript")] = None,
            clip: Annotated[Path | None, typer.Option(metavar="DIR", help="CLIPSIM too: CLIP as transformers saves "
                                                      "it")] = None,
            twins: Annotated[bool, typer.Option("--twins", help="float twins too: what a method loses without "
                                                "int8")] = False,
            markdown: Annotated[Path | None, typer.Option(metavar="FILE.md", help="write the tables there too")] = None,
            every: Annotated[bool, typer.Option("--list", help="print the settings and stop")] = False) -> None:
    """Quality of methods x settings x step counts against the work they leave; pictures in build/quality."""
    from flow.quality import command as measuring
    from flow.quality.judges import Judges
    from model.approximate.settings import SETTINGS, choose
    from model.sample import STEP_CHOICES
    if every:
        print("\n".join(SETTINGS))
        return
    chosen = choose(method or [], setting or [])
    ordered = measuring.orders(network or ["small"], chosen, steps or STEP_CHOICES, videos, twins)
    measuring.run(ordered, Judges.open(fvd, clip), markdown, Console())


@app.command()
def doctor(pdk: PdkOrNot = None) -> None:
    """Say which tools were found, and how to install what is missing. Exit status 1 if something needed is."""
    from flow.doctor import examine
    findings = examine(pdk)
    for finding in findings:
        mark = "ok     " if finding.ok else "none   " if finding.optional else "MISSING"
        print(f"{mark}  {finding.tool:<19} {finding.needed}: {finding.found}")
    if any(not finding.ok and not finding.optional for finding in findings):
        raise typer.Exit(1)


@app.command()
def generate(preset: Preset,
             output: Annotated[Path, typer.Option("--output", "-o", help="folder to write to")]) -> None:
    """Write Verilog and manifest.json of a configuration. Needs no torch."""
    from hw.generate import generate as write
    made = write(load_config(preset), output)
    print(f"{made.verilog}: {made.modules} modules\n{made.manifest}")


@app.command()
def lint(preset: Preset = "paper") -> None:
    """Generate a configuration and lint it with Verilator and slang; waivers are in verif/lint_waivers.vlt."""
    from hw.generate import verilog_text
    from verif.lint import lint as check
    config = load_config(preset)
    messages = check(verilog_text(config)[0], f"vida_{config.name}")
    print("\n".join([*messages, f"{config.name}: {len(messages)} messages that are not waived"]))
    if messages:
        raise typer.Exit(1)


@app.command()
def synthesize(preset: Preset = "paper", pdk: Pdk = None,
               library: Annotated[str | None, typer.Option(help="asap7, sky130, sg13g2; default: gate equivalents "
                                                                "and every library in the folder")] = None,
               block: Annotated[str | None, typer.Option(help="one block only")] = None) -> None:
    """Area and critical path of a configuration, block by block."""
    from flow.area import table
    table(load_config(preset), pdk, library, block, Console())


@app.command()
def explore(space: Annotated[str, typer.Argument(metavar="SPACE", help="a .toml file, or a space of vida by name: "
                                                 "array, chosen, quick")],
            pdk: Pdk = None, library: Libraries = None,
            workers: Annotated[int, typer.Option(min=0, help="processes, or jobs of a cluster; 0: no dask, one after "
                                                 "the other")] = 2,
            cluster: Annotated[str, typer.Option(help="local, slurm, lsf, pbs, sge")] = "local",
            cluster_options: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="arguments of the cluster's "
                                                                 "class in dask-jobqueue")] = None,
            rtl: Annotated[bool, typer.Option("--rtl", help="hold the schedule of every machine against its Verilog "
                                              "instead")] = False,
            output: Annotated[Path | None, typer.Option("--output", "-o", help="folder to write to")] = None) -> None:
    """Sweep configurations: cycles on real operands, area, and who wins per area. A second run does what is missing."""
    from flow.explore import command
    if rtl:
        command.check_schedule(space, Console())
        return
    done = command.explore(space, pdk, library or [], workers, cluster, cluster_options, output, Console())
    if not done:
        raise typer.Exit(1)


@app.command()
def compare(first: Annotated[str, typer.Argument(metavar="A", help="preset or TOML file")],
            second: Annotated[str, typer.Argument(metavar="B", help="preset or TOML file")],
            pdk: Pdk = None, library: Annotated[str | None, typer.Option(help="asap7, sky130, sg13g2, or ge: gate "
                                                                         "equivalents")] = None,
            steps: Annotated[list[int] | None, typer.Option(help="length of the sampling run")] = None,
            sample: Annotated[int, typer.Option(help="part of the operands: 1 all, 4 a quarter")] = 4) -> None:
    """Speed-up of configuration A over B at equal area, per operator and weighted by the network's work."""
    from flow.explore.equal_area import compare as hold
    hold(first, second, library, pdk, steps or [50], sample, Console())


@app.command()
def simulate(context: typer.Context,
             bench: Annotated[list[str] | None, typer.Argument(help="benches to run; default: all")] = None,
             preset: Annotated[str | None, typer.Option("--preset", "-p", metavar="NAME|FILE.toml", help="run on this "
                                                        "configuration only; default: each bench's own")] = None,
             seed: Seed = 1,
             model: Annotated[str | None, typer.Option("--model", "-m", help="instead: a sampling run of this network "
                                                       "(tiny, small) on the whole machine")] = None,
             method: Annotated[str, typer.Option(help="of the run: dense, original, ditto or vida")] = "dense",
             steps: Annotated[int, typer.Option(help="denoising steps of the run: 50, 20 or 8")] = 50,
             count: Annotated[int | None, typer.Option(min=1, help="stop after so many of them")] = None,
             bandwidth: Annotated[float | None, typer.Option(min=0.1, help="bytes a cycle of the memory, both ways "
                                                             "together; default: what the bus carries")] = None,
             label: Annotated[int, typer.Option(min=0, help="class to sample")] = 0,
             waves: Annotated[Path | None, typer.Option(metavar="FILE.vcd", help="record every signal")] = None,
             ) -> None:
    """The cocotb benches under Verilator: bit-exact to the law under random stalls. Waves of failures are kept.

    With --model: a sampling run of a trained network, every operator computed by the machine's Verilog, each step held
    against the law.
    """
    apart = ("bench", "seed") if model is not None else ("method", "steps", "count", "bandwidth", "label", "waves")
    refuse(context, apart, f"not with --model {model}" if model is not None else "only with --model")
    if model is not None:
        from flow.whole_run import Order
        from flow.whole_run import simulate as whole
        order = Order(load_config(preset or "tiny"), model, method, steps, count, label, bandwidth, waves)
        if not whole(order, Console()):
            raise typer.Exit(1)
        return
    from flow.benches import run_benches
    if not run_benches(load_config(preset) if preset else None, bench or [], seed, Console()):
        raise typer.Exit(1)


@app.command()
def regress(seed: Seed = 1, outputs: Annotated[int, typer.Option(min=1, help="results to compare")] = 1_000_000,
            cycles: Annotated[int, typer.Option(min=1, help="of random programs on whole machines")] = 10_000_000,
            ) -> None:
    """A million results of configurations that are no presets, ten million cycles of programs, and sampling runs of
    more machines, against the law. Sampling runs are kept: what was interrupted goes on."""
    from flow.benches import run_regression, run_soak
    from flow.long_runs import plan, run_long
    console = Console()
    good = [run_regression(seed, outputs, console), run_soak(seed, cycles, console), run_long(plan(), console)]
    if not all(good):
        raise typer.Exit(1)


@app.command()
def trace(model: Annotated[str, typer.Option("--model", "-m", metavar="SOURCE:NAME", help="diffusers:CLASS "
                                             "(LatteTransformer3DModel, CogVideoXTransformer3DModel, "
                                             "WanTransformer3DModel, DiTTransformer2DModel), or network:small")],
          weights: Annotated[Path | None, typer.Option(metavar="DIR", help="config.json and safetensors")] = None,
          random_weights: Annotated[bool, typer.Option("--random-weights", help="instead: a tiny model")] = False,
          steps: Annotated[int, typer.Option(min=2, help="denoising steps")] = 20,
          layers: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="by name, may be repeated; others stay "
                                                           "in float; default: all")] = None,
          reference: Annotated[str, typer.Option(help="of the products written: none, timestep or frame")] = "timestep",
          frames: Annotated[int | None, typer.Option(min=1, help="of the latent video")] = None,
          size: Annotated[str | None, typer.Option(metavar="HxW", help="of a latent frame")] = None,
          seed: Seed = 1,
          rows: Annotated[int, typer.Option(min=0, help="of a product written at most; 0: all")] = 64,
          columns: Annotated[int, typer.Option(min=0, help="of a product written at most; 0: all")] = 64,
          output: Annotated[Path | None, typer.Option("--output", "-o", help="default: build/trace/NAME")] = None,
          ) -> None:
    """Sample a model of your own in int8: operands, zeros and small differences by layer, what is not covered."""
    from flow.trace import Order, parse_size
    from flow.trace import trace as follow
    follow(Order(model, weights, random_weights, steps, tuple(layers or ("*",)), reference, parse_size(frames, size),
                 seed, output or Path("build/trace") / model.partition(":")[2], rows, columns), Console())


@app.command()
def prove(preset: Preset = "tiny",
          claim: Annotated[list[str] | None, typer.Argument(help="by name; default: all about the machine")] = None,
          every: Annotated[bool, typer.Option("--list", help="print what is claimed and stop")] = False,
          depth: Annotated[int, typer.Option(min=1, help="cycles from reset where induction does not close")] = 12,
          timeout: Annotated[int, typer.Option(min=1, help="seconds for each run")] = 600) -> None:
    """Prove a machine's queues, semaphores, buses, streams and allocation: by induction, else for so many cycles."""
    from flow import proofs
    if every:
        proofs.listing(load_config(preset), Console())
        return
    if not proofs.prove(load_config(preset), claim or [], depth, timeout, Console()):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
