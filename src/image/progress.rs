//! What a build does, as events: steps with their times, and the words of the one that failed.
