"""Benchmarks of proxies on networks whose trained accuracies are known.

The API on one screen:

    nasbench201.bench(folder, pool=..., view=..., sample=1500)   a whole run on NAS-Bench-201: (run folder, results)
    timm_models.bench(table, pool=..., view=...)                 the same on timm's pretrained networks, within families
    ablation.bench(name, folder, ...), ablation.from_run(name, run)
    table.BENCHMARKS, conduct.Benchmark                          which benchmarks there are, and what makes one
    run.begin, run.resume, run.stored                            score a plan with a journal; read what was scored
    judge.score_table, judge.judge, judge.judge_models           scores against accuracies
    forest.evaluate_model                                        random forests on scores and graph features
    choose.choose(runs, timm=...), choice.read(folder)           a better rank product, chosen on half of the networks
    papers.paper_figure, papers.ABLATIONS                        what the papers print
    page.write_page                                              for people
"""
