"""A plain sentence for everything that can be left out, switched off or chosen: one place for reports and cards."""

from __future__ import annotations

from typing import Literal

Kind = Literal["quarantine", "cleaning", "scrubbed", "rule", "guard", "cap"]

QUARANTINE = {
    "null_user_id": "The row does not say which user it belongs to, although the log has such a column.",
    "null_search_id": "The row does not say which result page it belongs to, although the log has such a column.",
    "null_query": "There is no query, or nothing of it is left once white space is removed.",
    "null_doc_id": "There is no document.",
    "personal_data": "The query holds personal data, and such rows were to be dropped.",
    "invalid_utf8": "The query or the document is not readable text (UTF-8).",
    "query_too_long": "The query has more than 1,024 characters: pasted text rather than a search.",
    "null_clicked": "The row does not say whether the result was clicked.",
    "clicked_impossible": "The click column holds something that is neither yes nor no.",
    "position_impossible": "The position is not a whole number from the top of a page to 65,535.",
    "null_timestamp": "There is no time, although the log has such a column.",
    "timestamp_unreadable": "The time cannot be read.",
    "timestamp_impossible": "The time lies before 1990 or after 2100.",
    "dwell_impossible": "The time on the document is negative or unreadable; it was blanked and the row kept.",
    "click_ms_impossible": "The time of the click is negative or unreadable; it was blanked and the row kept.",
    "n_clicks_impossible": "The number of clicks is negative or unreadable; it was blanked and the row kept.",
    "propensity_impossible": "The propensity is not above 0 and at most 1; it was not used and the row kept.",
    "broken_line": "The line, or row, is not of the format, or not readable text.",
    "click_without_impression": "A click on a result that the log never shows.",
    "event_without_object": "An event that does not say which result it is about.",
    "event_without_search": "An event that does not say which search it belongs to.",
    "other_action": "An event that is neither a result shown nor a click.",
    "page_without_documents": "A result page without results.",
    "click_outside_page": "A click on something that is not on the page.",
    "list_length_mismatch": "A page whose lists are of different lengths.",
    "unknown_code": "A code that the log's dictionary does not explain.",
}
"""Rows set aside because they cannot be understood."""

SCRUBBED = {
    "email": "An e-mail address.",
    "url_token": "A web address with a password, a token or a signature in it.",
    "jwt": "A web token.",
    "api_key": "The key of a machine, or something as random as one.",
    "ip": "The address of a machine on a network.",
    "mac": "The hardware address of a machine.",
    "gps": "The coordinates of a place.",
    "iban": "A bank account number.",
    "card": "A payment card number.",
    "national_id": "A number that a state gives to a person.",
    "phone": "A telephone number.",
    "long_number": "A long number: an account, a customer, a parcel.",
    "detector": "What a detector of your own found.",
}
"""Personal data that was found in queries."""

CLEANING = {
    "outside_window": "Shown before or after the time that was asked for.",
    "other_surface": "Shown on a part of the site that was not asked for.",
    "duplicate_impression": "The same result of the same page logged again; both were counted as one.",
    "decayed": "Old pages, thinned at random so that recent behaviour weighs more.",
    "robot_searches": "Users with more searches on a day than people make.",
    "robot_clicks": "Users who click nearly everything, as programs do.",
    "robot_no_clicks": "Users who search a lot and hardly ever click, as programs do.",
    "robot_dwell": "Users whose visits are all too short, or all equally long, for somebody who reads.",
    "beyond_max_position": "Results further down than is looked at here.",
    "oversized_page": "Pages of more than 1,000 results: their ids do not tell searches apart.",
    "short_page": "Pages with too few results to compare.",
    "beyond_max_votes": "The same user and result again: one user counts only so often.",
}
"""Rows understood and left out."""

RULES = {
    "skip_above": "A clicked result is preferred to each unclicked one above it: the user went past that one.",
    "last_click_skip_above": "The last result clicked is preferred to each unclicked one above it.",
    "click_no_click_next": "A clicked result is preferred to the unclicked one right below it.",
    "shown_not_clicked": "A result left unclicked on a page where something else was clicked.",
    "top_shown_never_clicked": "A result that stood near the top and that nobody clicked.",
    "skipped": "A result left unclicked above the last click of its page.",
    "clicked_for_related": "It satisfied somebody who asked for something alike; here it was seen and left.",
    "given": "Given as a negative of the query.",
    "retrieved": "A search engine returns it for the query, further down; it was never shown.",
    "random": "Any document that was never shown for the query.",
    "contrast": "A result clicked less than another one of the query, positions and noise allowed for.",
}
"""Where negatives come from."""

GUARDS = {
    "known_relevant": "It was given as relevant for the query.",
    "own_positive": "Somebody clicked the document for this very query: it may be what is wanted.",
    "same_intent": "It satisfied somebody who asked for the same in other words.",
    "chain": "Users who asked for this clicked it when they asked anew.",
    "min_examinations": "It was looked at too rarely, as far as positions tell.",
    "attractiveness": "People who look at it may well click and stay.",
    "abandoned": "It was only seen on pages where nothing was clicked: that speaks about the page.",
    "zero_click_significance": "It was seen too little: having no clicks could well be chance.",
    "coec": "It gets nearly the clicks that its positions let expect.",
    "min_impressions": "It was shown too rarely.",
    "ctr_upper": "Its true click rate may still be high.",
    "duplicate_words": "Its text is nearly that of a positive.",
    "duplicate_vectors": "Its vector is nearly that of a positive.",
    "no_score": "It has no score, or no positive of the query has one to compare with.",
    "max_score": "By its score it may be relevant.",
    "min_score": "By its score it is too far off.",
    "absolute_margin": "Its score is too near that of a positive.",
    "relative_margin": "Its score is too near that of a positive, for the size of that.",
    "p_false_negative": "By what was shown and clicked it may be relevant.",
}
"""Why a candidate is not trusted to be a negative."""

CAPS = {
    "max_negatives_per_query": "Negatives beyond the number kept for a query.",
    "max_queries_per_document": "Queries beyond the number that one document may be a negative of.",
}
"""What goes so that no query and no document dominates."""

_ALL: dict[Kind, dict[str, str]] = {
    "quarantine": QUARANTINE,
    "scrubbed": SCRUBBED,
    "cleaning": CLEANING,
    "rule": RULES,
    "guard": GUARDS,
    "cap": CAPS,
}


def sentence(kind: Kind, reason: str) -> str:
    """What a reason means; a reason without a sentence is spelled out."""
    return _ALL[kind].get(reason, reason.replace("_", " ").capitalize() + ".")
