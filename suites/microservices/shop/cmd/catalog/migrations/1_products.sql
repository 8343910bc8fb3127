CREATE TABLE products (
	sku   text PRIMARY KEY,
	name  text NOT NULL,
	price integer NOT NULL CHECK (price > 0) -- in cents
);
