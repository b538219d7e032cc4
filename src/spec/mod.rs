//! `config.json`: load, normalise, validate. Pure: touches nothing but the text it is given.
