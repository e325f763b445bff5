-- In pixels, so that a page leaves room for a picture before it has come. NULL where a picture was stored before this.
ALTER TABLE microposts ADD COLUMN picture_width INTEGER NULL;
ALTER TABLE microposts ADD COLUMN picture_height INTEGER NULL;
