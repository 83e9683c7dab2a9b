"""Fisher spectra beside the page: computed once, kept in the run folder, left out with a reason."""

import pytest

from search.engine.finals.finalists import held_out_seeds
from search.report import write_report
from search.report.data import read_run
from search.report.spectra import BEST, Spectrum, cached, compute
from tests.search.report.html_pages import words
from tests.search.report.report_runs import copy


def test_spectra_are_computed_once_and_stored(complete, tmp_path, monkeypatch):
    import proxies
    import uninas.compile

    run = copy(complete, tmp_path)
    page = words(write_report(run).read_text(encoding="utf-8"))
    assert "Eigenvalues (dots: deciles)" in page
    assert "Left out" not in page
    found = cached(read_run(run), run)
    assert list(found.of) == [BEST, "resnet", "efficientnet", "vit", "coatnet"]
    for spectrum in found.of.values():
        assert list(spectrum.eigenvalues) == sorted(spectrum.eigenvalues)
        assert len(spectrum.deciles) == 9
        assert 0 < spectrum.entropy < 2.2

    data = read_run(run)
    module = uninas.compile.build(data.best, classes=10)
    score = proxies.score(module, ["vkdnw"], input_shape=(3, 32, 32), batch=4, seed=held_out_seeds(data.config.seed, 1)[0])
    assert found.of[BEST].entropy == pytest.approx(score["vkdnw"], rel=1e-9)

    def refuse(*arguments):
        raise AssertionError("computed again")

    monkeypatch.setattr("search.report.spectra._spectrum", refuse)
    assert words(write_report(run).read_text(encoding="utf-8")) == page


def test_spectra_of_other_settings_or_a_broken_file_are_no_cache(complete, tmp_path, monkeypatch):
    run = copy(complete, tmp_path)
    monkeypatch.setattr("search.report.spectra._spectrum", lambda *arguments: "not now")
    compute(read_run(run), run)
    assert cached(read_run(run), run) is not None
    config = run / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("batch: 4", "batch: 5"), encoding="utf-8")
    assert cached(read_run(run), run) is None
    (run / "spectra.json").write_text('{"key": 1}', encoding="utf-8")
    assert cached(read_run(run), run) is None
    (run / "spectra.json").write_text("{", encoding="utf-8")
    assert cached(read_run(run), run) is None


@pytest.mark.parametrize(("cuda", "images"), [(False, 8), (True, 40)])
def test_a_processor_computes_spectra_of_few_images_and_the_page_says_so(complete, tmp_path, monkeypatch, cuda, images):
    import torch

    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(
        "search.report.spectra._spectrum", lambda *arguments: asked.append(arguments[2:]) or Spectrum((0.1, 1.0), (0.5,) * 9, 2.0)
    )
    run = copy(complete, tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("batch: 4", "batch: 40"), encoding="utf-8")
    page = words(write_report(run).read_text(encoding="utf-8"))
    assert asked == [("cuda" if cuda else "cpu", images)] * 5
    assert f"batch {images}, the first held-out seed" in page
    assert cached(read_run(run), run).images == images


def test_a_spectrum_that_cannot_be_had_is_left_out_with_its_reason(complete, tmp_path, monkeypatch):
    import proxies

    def fail(*arguments, **options):
        raise proxies.ProxyFailure("too_few_weights", "nine deciles need more")

    monkeypatch.setattr(proxies, "fisher_spectrum", fail)
    run = copy(complete, tmp_path)
    found = compute(read_run(run), run)
    assert found.of == {}
    assert found.left_out["vit"] == "too_few_weights: nine deciles need more"
    page = words(write_report(run).read_text(encoding="utf-8"))
    assert "Left out: best (too_few_weights: nine deciles need more)" in page
