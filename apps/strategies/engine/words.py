"""The leak check in words (msgids)."""

from __future__ import annotations

from apps.ui.engine.text import N_

#: What each test of ``honesty.examine`` looks at.
TESTS: dict[str, str] = {
    "decisions": N_("Future cut off: same decisions"),
    "features": N_("Future cut off: same features and signals"),
    "universe": N_("Universe known at the time"),
    "scaler": N_("Scaler fitted on training bars only"),
    "labels": N_("Rewards end with the training bars"),
    "split": N_("Parts apart, labels purged"),
    "inputs_shuffle": N_("Inputs foretell nothing on shuffled bars"),
    "inputs_noise": N_("Inputs foretell nothing on noise"),
    "fill_rule": N_("Fills only at prices still to come"),
    "tradability": N_("Rest of the bar changed: same fills at its open"),
    "time_shuffle": N_("Earns nothing on shuffled bars"),
    "noise_canary": N_("Earns nothing on noise"),
}

#: code of a finding -> how to mend it.
MEND: dict[str, str] = {
    "future": N_(
        "It changes when later bars are removed. Look for a shift by a negative number, a centred window, "
        "a fill from behind, or a mean over the whole column."
    ),
    "revised": N_(
        "It changes when later bars have other values. Use only bars up to the row's own time, "
        "and figures as they were known then."
    ),
    "scaler": N_(
        "Its scale depends on bars after the training period. Fit scalers and selections on training rows only."
    ),
    "universe": N_("Who is in it depends on later bars. Use membership as it was known on each day."),
    "label": N_(
        "What is learned from knows more bars than it may look ahead. Give each row only the bars of its own horizon."
    ),
    "label_overlap": N_("Labels of the earlier part reach into the later one. Purge that many bars between them."),
    "embargo": N_("The later part begins too soon after the earlier one. Leave out the embargo's bars."),
    "order_of_parts": N_("Parts overlap or are out of order. Train before validation, validation before test."),
    "tradability": N_(
        "Whether it can be traded is judged with figures of the bar that trades. Judge with the bar before, "
        "or with what is known at the open."
    ),
    "fill_known": N_(
        "The fill uses a price of the bar on which was decided. Decide at the close, fill at the next open."
    ),
    "shuffled": N_(
        "It earns on bars drawn at random, where nothing can be foreseen. Follow its inputs for a later price."
    ),
    "canary": N_("It earns on pure noise, where nothing can be foreseen. Follow its inputs for a later price."),
    "unchecked": N_(
        "Too few bars to cut the future off at 20 dates, so that nothing can be said. Give it data with more of them."
    ),
    "length": N_("It has another number of rows than the bars it was given."),
}
