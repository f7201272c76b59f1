# One image, three commands: serve --web, serve --worker, migrate.
FROM node:20-slim AS npm
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN apt-get update && apt-get install -y --no-install-recommends gcc && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
COPY requirements.txt .
# Set to PyTorch's index of CPU builds the image is some 5 GB smaller; without it torch brings its GPU libraries.
ARG PIP_EXTRA_INDEX_URL=
RUN /opt/venv/bin/pip install --no-deps -r requirements.txt \
 && /opt/venv/bin/pip install --constraint requirements.txt torch
COPY . .
COPY --from=npm /build/node_modules ./node_modules
# Neither command needs a secret: both run under the development profile at build time.
RUN VAR_DIR=/tmp/build /opt/venv/bin/python manage.py messages compile \
 && VAR_DIR=/tmp/build /opt/venv/bin/python manage.py collectstatic --noinput \
 && /opt/venv/bin/python -m compileall -q apps quant_platform

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 QP_ENV=production VAR_DIR=/var/lib/quant BIND=0.0.0.0 PORT=8000
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/quant --create-home quant
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
USER quant
VOLUME /var/lib/quant
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:' + os.environ['PORT'] + '/api/health', headers={'Host': os.environ.get('ALLOWED_HOSTS', '').split(',')[0].strip().lstrip('.*') or 'localhost'}), timeout=4)"]
ENTRYPOINT ["python", "manage.py"]
CMD ["serve"]
