"""The sentences of docs/evidence.md around its tables."""

HEAD = """\
# Evidence

Is the loss that a search finds better than all that an expert would try, and how soon is it found? On each
problem, `Study.search()` and `study.judge()` run with their defaults, as `glo search` does. The loss that is
found has to beat each loss of the [shelf](guide/shelf.md), each at its own best parameter and learning rate, on
test data that neither has seen.
"""
TRIAL = """**A trial run at scale {scale}: it shows that the suite works. Its numbers say nothing about losses.**
"""
RULES = """\
A **win** is a loss that is better than each loss of the shelf. Its p-value is the largest over the shelf (an
intersection-union test) and counts both the seeds and the test set ([decision 23](decisions/0023-verdict.md));
Holm's correction makes it one over all problems. A **loss** is one that is worse than the known loss that
validation chooses (p < {level:g}, not corrected), or than any other by Holm's correction over the shelf. The
rest are **ties**: nothing is shown. The gain is that over the known loss that is best on validation, with its
95 % interval; above 0 the discovered loss is better."""
OPTIMISM = """\
The fitness that a search reports, minus the mean validation metric of the same loss, at the same rate, over {n}
fresh seeds; above 0 it is flattered. *Confirmed* is the fitness of `study.best`, a mean over {seeds} seeds.
*Best single training* is what a search without the confirmation would report. Errors are standard errors over
seeds; the validation samples are the same on both sides."""
TIMES = """\
The old default is the product at commit {old}: six raw learning rates for each candidate, no rungs and no
confirmation. Old and new search in turn, each in a process of its own. Every loss that was the best of a search
for a while was then trained at its best rate by validation, and measured on test over {n} fresh seeds. The
*target* is what the result of the old search has there, minus one standard error. Each search reaches it when
the best that it has by then does; the old one may have had such a loss before its end. Steps are those of all
networks together, up to where each was given up; those of the new search include its confirmation at the end.
*never*: the new search did not find a loss with that test metric."""
LIMITS = """\
- One search for each problem: another seed finds another loss.
- Images are made smaller by averaging pixels, and networks have one hidden layer, so accuracies are far from
  the best known ones. The suite compares losses under the same training.
- Each loss is trained for the same steps. Longer trainings may have another order."""
