"""Synthetic slides and cohorts with a known truth; labelled synthetic wherever they appear.

`demo_slide` draws the demo's slide; everything else is imported from the modules: `config`
(`SimulationConfig`), `cohorts` (`simulate_cohort`), `slides` (`SlideSpec`, `render_slide`), `truth`
(`read_truth`, `patch_truth`), `biology` (activities, expression, hazard).
"""

from amkd_core.simulate.demo import demo_patient, demo_slide

__all__ = ["demo_patient", "demo_slide"]
