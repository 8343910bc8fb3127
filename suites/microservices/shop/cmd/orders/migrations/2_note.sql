-- The release before this one goes on while this is carried out, and after it, and writes orders without a note.
ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT '';
