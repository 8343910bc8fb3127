CREATE TABLE orders (
	id    text PRIMARY KEY,
	key   text NOT NULL UNIQUE, -- by which the customer asks again
	items jsonb NOT NULL,       -- quantities by product
	total integer NOT NULL,     -- in cents
	paid  boolean NOT NULL DEFAULT false
);

-- What has yet to be told to others. It is written in the transaction that makes it true.
CREATE TABLE outbox (
	id    bigserial PRIMARY KEY,
	event jsonb NOT NULL
);
